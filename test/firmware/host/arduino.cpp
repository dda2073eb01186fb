// What Arduino's core does around a sketch.
#include <cstdarg>

#include "Arduino.h"
#include "WiFi.h"
#include "esp_ota_ops.h"
#include "esp_system.h"

SerialPort Serial;
EspClass ESP;
WiFiClass WiFi;

extern "C" {
bool verifyRollbackLater() __attribute__((weak));
bool verifyRollbackLater() { return false; }
}

int SerialPort::printf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vprintf(format, arguments);
  va_end(arguments);
  return n;
}

void EspClass::restart() { esp_restart(); }

void configTime(long, int, const char *) {}

void WiFiClass::begin(const char *ssid, const char *) {
  const char *there = getenv("BOARD_SSID");
  known = there != nullptr && strcmp(ssid, there) == 0;
}
wl_status_t WiFiClass::status() { return known ? WL_CONNECTED : WL_DISCONNECTED; }

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  esp_ota_img_states_t state;
  if (!verifyRollbackLater() && esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
      state == ESP_OTA_IMG_PENDING_VERIFY)
    esp_ota_mark_app_valid_cancel_rollback();
  setup();
  for (;;) loop();
}
