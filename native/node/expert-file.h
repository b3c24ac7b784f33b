// A file that any thread reads from, at any place.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

class ExpertFile {
 public:
  // direct: past the page cache of the operating system; then offsets, sizes and addresses are of whole pages.
  // Where the file cannot be opened, there is none, and `error` tells why.
  static std::shared_ptr<ExpertFile> open(const std::string& path, bool direct, std::string* error);
  ~ExpertFile();
  ExpertFile(const ExpertFile&) = delete;

  bool direct() const { return direct_; }

  // Returns how many bytes were read: all, or up to the end of the file. Otherwise `error` tells why.
  size_t read(uint64_t offset, uint8_t* into, size_t bytes, std::string* error) const;

 private:
#if defined(_WIN32)
  using Handle = void*;
#else
  using Handle = int;
#endif

  ExpertFile(Handle handle, bool direct) : handle_(handle), direct_(direct) {}

  Handle handle_;
  bool direct_;
};
