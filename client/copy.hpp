// A row in the text format of PostgreSQL's COPY, as COPY TO writes it: fields
// between tabs, \N for NULL, and backslash escapes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text.hpp"

namespace copy {

using Field = std::optional<std::string_view>;  // nothing is NULL

// The character that a backslash and this letter stand for. COPY FROM takes more
// than these; COPY TO writes no other.
inline char unescape(char letter) {
    switch (letter) {
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'v':
            return '\v';
        case '\\':
            return '\\';
        default:
            throw Malformed("a backslash that COPY would not write");
    }
}

// Takes a line, without its line break, apart. The fields are unescaped in place
// and point into it.
inline void split(std::string &line, std::vector<Field> &fields) {
    fields.clear();
    char *in = line.data();
    char *const end = in + line.size();
    for (;; ++in) {
        char *const begin = in;
        char *out = in;
        bool null = false;
        for (; in != end && *in != '\t'; ++in) {
            const bool escaped = *in == '\\';
            if (escaped && ++in == end) throw Malformed("a line that ends within an escape");
            if (escaped && *in == 'N' && out == begin) {
                null = true;
                if (in + 1 != end && in[1] != '\t') throw Malformed("text after \\N");
            } else {
                *out++ = escaped ? unescape(*in) : *in;
            }
        }
        fields.push_back(null ? Field{} : Field{{begin, static_cast<size_t>(out - begin)}});
        if (in == end) return;
    }
}

// Of a field that is never NULL.
inline std::string_view text(const Field &field) {
    if (!field) throw Malformed("NULL where a value must be");
    return *field;
}

inline int64_t integer(const Field &field) {
    return parse_integer(text(field));
}

}  // namespace copy
