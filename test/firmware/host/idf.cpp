// What ESP-IDF does around app_main, and the network that the example leaves to its reader.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

extern "C" {
#include "esp_app_desc.h"
void app_main(void);
void start_network(void);

const esp_app_desc_t *esp_app_get_description(void) {
  static const esp_app_desc_t description = {FIRMWARE_VERSION};
  return &description;
}

// A program that waits for a network for ever, which is what paku_ota_begin() must end.
void start_network(void) {
  const char *there = getenv("BOARD_SSID");
  while (there == nullptr || strcmp(WIFI_SSID, there) != 0) sleep(1);
}
}

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  app_main();
}
