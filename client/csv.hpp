// A reader of delimited text (RFC 4180): quoted fields, doubled quotes, line
// breaks inside quotes, LF or CRLF, any delimiter. Bytes are passed through,
// so any encoding that contains ASCII will do.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace csv {

struct Record {
    long line = 0;  // where it begins, from 1
    std::vector<std::string> fields;
    bool terminated = false;  // by a line break; false only for the last record of a file
};

class Reader {
  public:
    Reader(std::istream &input, char delimiter) : input_(input), delimiter_(delimiter) {}

    bool next(Record &record) {
        record = Record{line_, {}, false};
        if (input_.peek() == std::istream::traits_type::eof()) return false;
        do {
            record.fields.push_back(field());
        } while (input_.peek() == delimiter_ && input_.get());
        record.terminated = end_of_line();
        return true;
    }

  private:
    std::string field() {
        std::string value;
        bool quoted = false;
        for (int c; (c = input_.peek()) != std::istream::traits_type::eof(); input_.get()) {
            if (!quoted && (c == delimiter_ || c == '\n' || c == '\r')) break;
            if (c == '\n') ++line_;
            if (c != '"') {
                value += static_cast<char>(c);
            } else if (quoted && doubled()) {
                value += '"';
            } else {
                quoted = !quoted;
            }
        }
        return value;
    }

    // At a quote: is it the first of two? Then steps onto the second.
    bool doubled() {
        input_.get();
        if (input_.peek() == '"') return true;
        input_.unget();
        return false;
    }

    bool end_of_line() {
        if (input_.peek() == '\r') input_.get();
        if (input_.get() != '\n') return false;
        ++line_;
        return true;
    }

    std::istream &input_;
    char delimiter_;
    long line_ = 1;
};

}  // namespace csv
