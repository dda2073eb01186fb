// Runs paku_ota_install with the command of the first argument, and prints its result code.
#include <cstdio>
#include <cstring>

#include "paku_ota.h"

int main(int, char **arguments) {
  paku_command_t command;
  paku_ota_begin();
  if (!paku_ota_read_command(arguments[1], strlen(arguments[1]), &command)) {
    puts("unreadable");
    return 0;
  }
  printf("%d\n", paku_ota_install(&command, "", nullptr));
}
