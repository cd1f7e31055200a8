// Members of JSON objects that must be there and be what they are called for.
#pragma once

#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "sha256.hpp"
#include "text.hpp"

namespace json {

using Value = nlohmann::json;

inline const Value &member(const Value &object, const char *name) {
    if (!object.is_object() || !object.contains(name)) throw Malformed(std::string("no member ") + name);
    return object.at(name);
}

inline int64_t integer(const Value &object, const char *name) {
    const Value &value = member(object, name);
    const bool fits =
        value.is_number_integer() && (!value.is_number_unsigned() ||
                                      value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
    if (!fits) throw Malformed(std::string(name) + " is no integer of 64 bits");
    return value.get<int64_t>();
}

inline const std::string &text(const Value &object, const char *name) {
    const Value &value = member(object, name);
    if (!value.is_string()) throw Malformed(std::string(name) + " is no text");
    return value.get_ref<const std::string &>();
}

inline std::string bytes(const Value &object, const char *name) {
    return from_hex(text(object, name));
}
inline std::optional<std::string> optional_bytes(const Value &object, const char *name) {
    if (!object.contains(name) || object.at(name).is_null()) return std::nullopt;
    return bytes(object, name);
}

inline Hash hash(const Value &object, const char *name) {
    return parse_hash(text(object, name));
}

inline const Value &array(const Value &object, const char *name) {
    const Value &value = member(object, name);
    if (!value.is_array()) throw Malformed(std::string(name) + " is no array");
    return value;
}

inline std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string content(std::istreambuf_iterator<char>(file), {});
    if (!file) throw std::runtime_error("cannot read " + path);
    return content;
}

// Parses what must be an object of version 1, and gives it to read.
template <typename Read>
auto parse(const std::string &content, Read read) {
    const Value object = Value::parse(content, nullptr, false);
    if (object.is_discarded()) throw Malformed("not JSON");
    if (integer(object, "version") != 1) throw Malformed("not version 1");
    return read(object);
}

}  // namespace json
