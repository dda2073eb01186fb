#pragma once
#include "Arduino.h"

enum wl_status_t { WL_IDLE_STATUS = 0, WL_CONNECTED = 3, WL_DISCONNECTED = 6 };
enum wifi_mode_t { WIFI_STA = 1 };

// Connects to the network that BOARD_SSID names, and to no other.
class WiFiClass {
 public:
  void mode(wifi_mode_t) {}
  void begin(const char *ssid, const char *password);
  wl_status_t status();
  String macAddress() { return "A0:B7:65:20:E9:55"; }
  int8_t RSSI() { return -61; }

 private:
  bool known = false;
};
extern WiFiClass WiFi;
