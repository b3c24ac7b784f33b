#include "expert-file.h"

#include <algorithm>

namespace {

constexpr const char* kNotDirect = "its file system does not read past the page cache";

}  // namespace

#if defined(_WIN32)
#include <windows.h>

namespace {

std::wstring wide(const std::string& text) {
  const int size = static_cast<int>(text.size());
  std::wstring out(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, text.data(), size, out.data(), static_cast<int>(out.size()));
  return out;
}

std::string describe(DWORD code) {
  char text[256];
  const DWORD size = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, code,
                                    MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US), text, sizeof text, nullptr);
  if (size == 0) return "error " + std::to_string(code) + " of Windows";
  const std::string message(text, size);
  return message.substr(0, message.find_last_not_of(". \r\n") + 1);
}

}  // namespace

std::shared_ptr<ExpertFile> ExpertFile::open(const std::string& path, bool direct, std::string* error) {
  const DWORD shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  HANDLE handle = CreateFileW(wide(path).c_str(), GENERIC_READ, shared, nullptr, OPEN_EXISTING,
                              direct ? FILE_FLAG_NO_BUFFERING : FILE_ATTRIBUTE_NORMAL, nullptr);
  if (handle != INVALID_HANDLE_VALUE) return std::shared_ptr<ExpertFile>(new ExpertFile(handle, direct));
  const DWORD code = GetLastError();
  *error = direct && code == ERROR_INVALID_PARAMETER ? kNotDirect : describe(code);
  return nullptr;
}

ExpertFile::~ExpertFile() { CloseHandle(handle_); }

size_t ExpertFile::read(uint64_t offset, uint8_t* into, size_t bytes, std::string* error) const {
  size_t filled = 0;
  while (filled < bytes) {
    OVERLAPPED place = {};
    place.Offset = static_cast<DWORD>(offset + filled);
    place.OffsetHigh = static_cast<DWORD>((offset + filled) >> 32);
    const DWORD wanted = static_cast<DWORD>(std::min<size_t>(bytes - filled, size_t{1} << 30));
    DWORD count = 0;
    if (!ReadFile(handle_, into + filled, wanted, &count, &place)) {
      const DWORD code = GetLastError();
      if (code == ERROR_HANDLE_EOF) break;
      *error = describe(code);
      return filled;
    }
    if (count == 0) break;
    filled += count;
    // What follows a piece that is no whole page is past the end.
    if (direct_ && count < wanted) break;
  }
  return filled;
}

#else
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

std::shared_ptr<ExpertFile> ExpertFile::open(const std::string& path, bool direct, std::string* error) {
  int flags = O_RDONLY | O_CLOEXEC;
#ifdef O_DIRECT
  if (direct) flags |= O_DIRECT;
#endif
  const int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) {
    *error = direct && errno == EINVAL ? kNotDirect : std::strerror(errno);
    return nullptr;
  }
#ifdef F_NOCACHE
  if (direct) ::fcntl(descriptor, F_NOCACHE, 1);
#endif
  return std::shared_ptr<ExpertFile>(new ExpertFile(descriptor, direct));
}

ExpertFile::~ExpertFile() { ::close(handle_); }

size_t ExpertFile::read(uint64_t offset, uint8_t* into, size_t bytes, std::string* error) const {
  size_t filled = 0;
  while (filled < bytes) {
    const ssize_t count = ::pread(handle_, into + filled, bytes - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      *error = std::strerror(errno);
      return filled;
    }
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return filled;
}
#endif
