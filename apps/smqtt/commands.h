/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_COMMANDS_H
#define SMQTT_APPS_COMMANDS_H
/* The commands; each gets the whole command line (argv[1] is its name) and returns the exit code. */

int command_pub(int argc, char **argv);
int command_sub(int argc, char **argv);
int command_rr(int argc, char **argv);
int command_id(int argc, char **argv);
int command_passwd(int argc, char **argv);
int command_detect(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_bench(int argc, char **argv);

#endif
