// What the client programs' main functions share.
#pragma once

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

// The value of an option that must be a number of at least 1.
inline int positive(const char *name, const char *text) {
    const int value = std::atoi(text);
    if (value < 1) throw std::invalid_argument(std::string("--") + name + " must be at least 1");
    return value;
}

// A random generator's seed, from any text that begins with a number.
inline unsigned seed_from(const char *text) {
    return static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

// An option --name, with a VALUE that take gets unless it is a flag.
struct Option {
    const char *name;
    std::function<void(const char *)> take;
    bool is_flag = false;
};

// Takes the options off the command line; optind is then at the first of the other
// arguments. -d is --dbname; --help prints help and ends the program.
inline void take_options(const char *program, const char *help, int argc, char **argv,
                         const std::vector<Option> &options) {
    std::vector<option> known;
    for (const Option &each : options)
        known.push_back({each.name, each.is_flag ? no_argument : required_argument, nullptr,
                         std::string(each.name) == "dbname" ? 'd' : 0});
    known.push_back({"help", no_argument, nullptr, 'h'});
    known.push_back({});
    int index = 0;
    for (int letter; (letter = getopt_long(argc, argv, "d:h", known.data(), &index)) != -1;) {
        if (letter == 'h') {
            std::fputs(help, stdout);
            std::exit(EXIT_SUCCESS);
        }
        if (letter == '?') throw std::invalid_argument(std::string("see ") + program + " --help");
        for (std::size_t i = 0; i < options.size(); ++i)
            if (letter == 'd' ? known[i].val == 'd' : static_cast<int>(i) == index) options[i].take(optarg);
    }
}

// Runs work, which tells whether all is well, or the exit status. The exit status is 1 if
// it is not, 2 if the arguments were wrong, and failure if the work could not be done.
template <typename Work>
int run_program(const char *name, Work work, int failure = EXIT_FAILURE) {
    try {
        std::setvbuf(stdout, nullptr, _IOLBF, 0);
        if constexpr (std::is_same_v<decltype(work()), int>) {
            return work();
        } else {
            return work() ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return 2;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return failure;
    }
}
