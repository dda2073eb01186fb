#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>

#define PROGMEM
typedef bool boolean;

class String {
 public:
  String(const char *text = "") : text(text) {}
  const char *c_str() const { return text.c_str(); }

 private:
  std::string text;
};

class SerialPort {
 public:
  void begin(unsigned long) {}
  int printf(const char *format, ...) __attribute__((format(printf, 2, 3)));
};
extern SerialPort Serial;

class EspClass {
 public:
  void restart() __attribute__((noreturn));
};
extern EspClass ESP;

unsigned long millis();
void delay(unsigned long ms);
void configTime(long gmtOffset, int daylightOffset, const char *server);

void setup();
void loop();
