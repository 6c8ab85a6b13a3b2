/* SPDX-License-Identifier: Apache-2.0 */
/* `smqtt COMMAND`: one row per command. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <smqtt/system.h>

#include "commands.h"

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"pub", command_pub, "publish a message, plain or sealed for a server"},
    {"sub", command_sub, "print what comes; with --identity, open what is sealed for you"},
    {"id", command_id, "new, show, export, journal: identities"},
    {"detect", command_detect, "play one handshake and show each step"},
    {"bench", command_bench, "load a broker and measure it"},
    {"help", command_help, "this text; smqtt COMMAND --help shows a command's flags"},
    {"version", command_version, "the version"},
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
    printf("smqtt %s\n", smqtt_version_text());
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "help";
    name = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ? "help"
           : strcmp(name, "--version") == 0                       ? "version"
                                                                  : name;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc, argv);
        }
    }
    fprintf(stderr, "smqtt: there is no command '%s': smqtt help lists them.\n", name);
    return 1;
}
