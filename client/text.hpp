// Numbers and bytes as they stand in text. What is not what it should be is
// Malformed: the input cannot be read, which is not the same as tampered with.
#pragma once

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

struct Malformed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline int64_t parse_integer(std::string_view text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) throw Malformed("a number does not fit 64 bits");
    if (error != std::errc() || end != text.data() + text.size()) throw Malformed("not a number");
    return value;
}

inline std::string to_hex(std::string_view bytes) {
    constexpr const char *kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

inline int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    throw Malformed("not hexadecimal");
}

// bytes has room for half of the text's length, which is even.
inline void decode_hex(std::string_view text, char *bytes) {
    for (size_t i = 0; i < text.size(); i += 2)
        bytes[i / 2] = static_cast<char>(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
}

inline std::string from_hex(std::string_view text) {
    if (text.size() % 2 != 0) throw Malformed("hexadecimal with an odd number of digits");
    std::string bytes(text.size() / 2, '\0');
    decode_hex(text, bytes.data());
    return bytes;
}
