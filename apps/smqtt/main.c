/* SPDX-License-Identifier: Apache-2.0 */
/* `smqtt COMMAND`: one row per command. Called by the name of one of Mosquitto's programs, it is that one. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "say.h"

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"pub", command_pub, "publish a message, plain or sealed for a server"},
    {"sub", command_sub, "print what comes; with --identity, open what is sealed for you"},
    {"rr", command_rr, "publish a request and print the response"},
    {"id", command_id, "identities: make, compare, trust, renew, rotate, revoke, lock"},
    {"passwd", command_passwd, "user names and passwords for the broker"},
    {"detect", command_detect, "play one handshake and show each step"},
    {"probe", command_probe, "try which ill-formed strings a broker takes and hands on"},
    {"bench", command_bench, "load a broker and measure it"},
    {"help", command_help, "this text; smqtt COMMAND --help shows a command's flags"},
    {"version", command_version, "the version"},
};

/* Names by which it is called, and the commands that they stand for. */
static const struct {
    const char *program, *command;
} aliases[] = {
    {"mosquitto_pub", "pub"},
    {"mosquitto_sub", "sub"},
    {"mosquitto_rr", "rr"},
    {"mosquitto_passwd", "passwd"},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int command_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("smqtt: MQTT that the broker cannot read or change\n\nUsage: smqtt COMMAND [flags]\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        printf("  %-8s %s\n", commands[i].name, commands[i].help);
    }
    puts("\nThe first sealed message:\n"
         "  smqtt id new my-server -o server.id\n"
         "  smqtt sub -t 'sensors/#' --identity server.id\n"
         "  smqtt pub -t sensors/1 -m hello --to server.pub");
    return 0;
}

static int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return say_version();
}

static int run_command(const char *name, int argc, char **argv)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc, argv);
        }
    }
    say("there is no command '%s': smqtt help lists them.", name);
    return EXIT_FAILED;
}

/** As if `smqtt COMMAND` had been called with the same flags. */
static int run_alias(const char *program, const char *command, int argc, char **argv)
{
    char name[16];
    char **words = calloc((size_t)argc + 2, sizeof(*words));
    if (words == NULL) {
        say("there is no memory for the command line.");
        return EXIT_FAILED;
    }
    say_alias(program);
    snprintf(name, sizeof(name), "%s", command);
    words[0] = argv[0];
    words[1] = name;
    for (int i = 1; i < argc; i++) {
        words[i + 1] = argv[i];
    }
    int code = run_command(command, argc + 1, words);
    free(words);
    return code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    const char *program = argc > 0 ? argv[0] : "";
    program = strrchr(program, '/') != NULL ? strrchr(program, '/') + 1 : program;
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcmp(program, aliases[i].program) == 0) {
            return run_alias(aliases[i].program, aliases[i].command, argc, argv);
        }
    }
    const char *name = argc > 1 ? argv[1] : "help";
    name = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ? "help"
           : strcmp(name, "--version") == 0                       ? "version"
                                                                  : name;
    return run_command(name, argc, argv);
}
