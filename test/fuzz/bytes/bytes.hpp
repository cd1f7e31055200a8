// What the fuzzers of byte parsers share.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdio>
#include <cstdlib>
#include <string>

// What must hold, in a build without NDEBUG or with it.
#define REQUIRE(condition)                                                               \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                \
        }                                                                                \
    } while (false)

// A field as COPY TO writes it.
inline std::string copied(std::string_view field) {
    std::string line;
    for (const char c : field) {
        const char *special = "\b\bb\f\ff\n\nn\r\rr\t\tt\v\vv\\\\\\";
        char letter = 0;
        for (; *special; special += 3)
            if (c == *special) letter = special[2];
        if (letter) line += '\\';
        line += letter ? letter : c;
    }
    return line;
}
