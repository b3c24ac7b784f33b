// printf to a buffer, for the messages of errors: %s %c %d %u %g and %%, integers also as %zu, %zd, %ld, %lu, %lld and
// %llu. A full one would bring long double arithmetic along.
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace {

class Writer {
 public:
  Writer(char* out, size_t capacity) : out_(out), capacity_(capacity) {}

  void put(char c) {
    if (length_ + 1 < capacity_) out_[length_] = c;
    ++length_;
  }
  void put(const char* text) {
    while (*text) put(*text++);
  }
  void put(uint64_t number, int digits = 1) {
    char reversed[20];
    int count = 0;
    for (; number > 0 || count < digits; number /= 10) reversed[count++] = static_cast<char>('0' + number % 10);
    while (count > 0) put(reversed[--count]);
  }
  void put(int64_t number) {
    if (number < 0) put('-');
    put(number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number));
  }
  void put(double number);

  int finish() {
    if (capacity_ > 0) out_[length_ < capacity_ ? length_ : capacity_ - 1] = '\0';
    return static_cast<int>(length_);
  }

 private:
  char* out_;
  size_t capacity_;
  size_t length_ = 0;
};

double powerOfTen(int exponent) {
  double power = 1;
  for (int i = exponent < 0 ? -exponent : exponent; i > 0; --i) power *= 10;
  return power;
}

// %g: 6 digits, without zeros at the end.
void Writer::put(double number) {
  if (std::isnan(number)) return put("nan");
  if (std::signbit(number)) put('-');
  number = std::fabs(number);
  if (std::isinf(number)) return put("inf");
  if (number == 0) return put('0');
  // number = digits * 10^(exponent - 5), 100000 <= digits <= 999999
  int exponent = 0;
  for (double rest = number; rest >= 10; rest /= 10) ++exponent;
  for (double rest = number; rest < 1; rest *= 10) --exponent;
  const auto digitsAt = [&](int e) {
    const int shift = 5 - e;
    // Of the least numbers the power exceeds a double.
    const double scaled = shift > 300  ? number * powerOfTen(300) * powerOfTen(shift - 300)
                          : shift >= 0 ? number * powerOfTen(shift)
                                       : number / powerOfTen(shift);
    return static_cast<uint64_t>(__builtin_rint(scaled));
  };
  uint64_t digits = digitsAt(exponent);
  if (digits > 999999) digits = digitsAt(++exponent);
  if (digits < 100000) digits = digitsAt(--exponent);
  int count = 6;
  for (; count > 1 && digits % 10 == 0; --count) digits /= 10;
  const bool scientific = exponent < -4 || exponent >= 6;
  const int whole = scientific ? 1 : exponent + 1;  // digits before the point
  if (whole >= count) {
    put(digits);
    for (int i = count; i < whole; ++i) put('0');
  } else if (whole > 0) {
    const uint64_t unit = static_cast<uint64_t>(powerOfTen(count - whole));
    put(digits / unit);
    put('.');
    put(digits % unit, count - whole);
  } else {
    put("0.");
    put(digits, count - whole);
  }
  if (!scientific) return;
  put(exponent < 0 ? "e-" : "e+");
  put(static_cast<uint64_t>(exponent < 0 ? -exponent : exponent), 2);
}

}  // namespace

extern "C" {

int vsnprintf(char* out, size_t capacity, const char* format, va_list args) {
  Writer writer(out, capacity);
  for (; *format; ++format) {
    if (*format != '%') {
      writer.put(*format);
      continue;
    }
    int longs = 0;
    for (++format; *format == 'l' || *format == 'z'; ++format) longs += *format == 'l';
    switch (*format) {
      case 's': writer.put(va_arg(args, const char*)); break;
      case 'c': writer.put(static_cast<char>(va_arg(args, int))); break;
      case 'g': writer.put(va_arg(args, double)); break;
      case 'd': writer.put(longs == 2 ? int64_t{va_arg(args, long long)} : int64_t{va_arg(args, int)}); break;
      case 'u': writer.put(longs == 2 ? uint64_t{va_arg(args, unsigned long long)} : va_arg(args, unsigned)); break;
      case '%': writer.put('%'); break;
      default: __builtin_trap();
    }
  }
  return writer.finish();
}

int snprintf(char* out, size_t capacity, const char* format, ...) {
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(out, capacity, format, args);
  va_end(args);
  return length;
}

}  // extern "C"
