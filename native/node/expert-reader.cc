#include "expert-reader.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "../base/pages.h"
#include "expert-file.h"

namespace {

constexpr size_t kPage = 4096;

// CRC-32 of IEEE 802.3, as zlib has it: eight bytes a step, one table for each (Kounavis and Berry 2005).
class Crc32 {
 public:
  Crc32() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) ? 0xedb88320u : 0);
      tables_[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; ++i) {
      for (int t = 1; t < 8; ++t) tables_[t][i] = (tables_[t - 1][i] >> 8) ^ tables_[0][tables_[t - 1][i] & 0xff];
    }
  }

  uint32_t operator()(const uint8_t* data, size_t size) const {
    uint32_t crc = 0xffffffffu;
    for (; size >= 8; size -= 8, data += 8) {
      uint32_t low, high;
      std::memcpy(&low, data, 4);
      std::memcpy(&high, data + 4, 4);
      low ^= crc;
      crc = tables_[7][low & 0xff] ^ tables_[6][(low >> 8) & 0xff] ^ tables_[5][(low >> 16) & 0xff] ^
            tables_[4][low >> 24] ^ tables_[3][high & 0xff] ^ tables_[2][(high >> 8) & 0xff] ^
            tables_[1][(high >> 16) & 0xff] ^ tables_[0][high >> 24];
    }
    for (; size > 0; --size) crc = (crc >> 8) ^ tables_[0][(crc ^ *data++) & 0xff];
    return ~crc;
  }

 private:
  std::array<std::array<uint32_t, 256>, 8> tables_;
};

using FileRef = std::shared_ptr<ExpertFile>;

struct Read {
  FileRef file;
  uint64_t offset;
  size_t bytes;   // that are read, whole pages
  size_t length;  // of them the expert
  uint32_t crc;
  uint8_t* into;
  std::string error;  // empty: done
  bool damaged = false;

  void run() {
    const size_t filled = fill();
    if (!error.empty()) return;
    if (filled < length) {
      error = "the file ends at byte " + std::to_string(offset + filled);
      damaged = true;
      return;
    }
    static const Crc32 crcOf;
    if (crcOf(into, length) != crc) {
      error = "its checksum is wrong";
      damaged = true;
    }
  }

 private:
  size_t fill() {
    if (!file->direct() || reinterpret_cast<uintptr_t>(into) % kPage == 0)
      return file->read(offset, into, bytes, &error);
    // Memory that the runtime gave instead of pages: past the page cache nothing can be read into it.
    const auto unmap = [this](uint8_t* memory) { lowbit::unmapPages(memory, bytes); };
    const std::unique_ptr<uint8_t, decltype(unmap)> pages(static_cast<uint8_t*>(lowbit::mapPages(bytes)), unmap);
    if (!pages) {
      error = "there is no memory to read it";
      return 0;
    }
    const size_t filled = file->read(offset, pages.get(), bytes, &error);
    std::memcpy(into, pages.get(), filled);
    return filled;
  }
};

napi_value errorOf(napi_env env, const Read& read) {
  napi_value code, message, error;
  napi_create_string_utf8(env, read.damaged ? "invalid-weights" : "io", NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, read.error.c_str(), read.error.size(), &message);
  napi_create_error(env, code, message, &error);
  return error;
}

napi_value fail(napi_env env, const char* code, const std::string& message) {
  napi_throw_error(env, code, message.c_str());
  return nullptr;
}

// allocatePages(bytes): ArrayBuffer of zeros, page-aligned where the runtime takes memory of native code
napi_value allocatePages(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  double bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_double(env, argument, &bytes);
  const size_t size = static_cast<size_t>(bytes);
  const auto refuse = [&] {
    return fail(env, "out-of-memory", "Could not reserve " + std::to_string(size) + " bytes for experts.");
  };
  void* memory = size == 0 ? nullptr : lowbit::mapPages(size);
  if (!memory) return refuse();
  napi_value buffer;
  const auto release = [](napi_env, void* data, void* hint) {
    lowbit::unmapPages(data, reinterpret_cast<size_t>(hint));
  };
  if (napi_create_external_arraybuffer(env, memory, size, release, reinterpret_cast<void*>(size), &buffer) == napi_ok) {
    return buffer;
  }
  // Electron takes no memory of native code.
  lowbit::unmapPages(memory, size);
  return napi_create_arraybuffer(env, size, &memory, &buffer) == napi_ok ? buffer : refuse();
}

// openExperts(path, direct): handle; direct: past the page cache of the operating system
napi_value openExperts(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  size_t length = 0;
  bool direct = false;
  if (napi_get_value_string_utf8(env, arguments[0], nullptr, 0, &length) != napi_ok) {
    return fail(env, "invalid-argument", "Expected a path.");
  }
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, arguments[0], path.data(), path.size(), &length);
  napi_get_value_bool(env, arguments[1], &direct);
  std::string error;
  FileRef opened = ExpertFile::open(path.c_str(), direct, &error);
  if (!opened) return fail(env, "io", error);
  napi_value handle;
  const auto release = [](napi_env, void* data, void*) { delete static_cast<FileRef*>(data); };
  FileRef* file = new FileRef(std::move(opened));
  if (napi_create_external(env, file, release, nullptr, &handle) != napi_ok) {
    delete file;
    return fail(env, "out-of-memory", "Could not create a handle.");
  }
  return handle;
}

// (handle, offset, length, crc, into: Uint8Array of whole pages)
bool readArguments(napi_env env, napi_callback_info info, Read* read, napi_value* into) {
  size_t count = 5;
  napi_value arguments[5];
  void* data = nullptr;
  double numbers[3];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  bool valid = count == 5 && napi_get_value_external(env, arguments[0], &data) == napi_ok;
  for (int i = 0; i < 3; ++i) valid = valid && napi_get_value_double(env, arguments[1 + i], &numbers[i]) == napi_ok;
  napi_typedarray_type type;
  void* bytes = nullptr;
  valid = valid &&
          napi_get_typedarray_info(env, arguments[4], &type, &read->bytes, &bytes, nullptr, nullptr) == napi_ok &&
          type == napi_uint8_array;
  if (!valid || numbers[0] < 0 || numbers[1] < 0 || numbers[1] > static_cast<double>(read->bytes)) {
    fail(env, "invalid-argument", "Expected an open file, a range of it and room for it.");
    return false;
  }
  read->file = *static_cast<FileRef*>(data);
  if (!read->file) {
    fail(env, "invalid-argument", "The file of experts was closed.");
    return false;
  }
  read->offset = static_cast<uint64_t>(numbers[0]);
  read->length = static_cast<size_t>(numbers[1]);
  read->crc = static_cast<uint32_t>(numbers[2]);
  read->into = static_cast<uint8_t*>(bytes);
  // Direct reads take whole pages; what follows the expert is not looked at.
  read->bytes = std::min(read->bytes, (read->length + kPage - 1) / kPage * kPage);
  *into = arguments[4];
  return true;
}

// readExpertNow(handle, offset, length, crc, into)
napi_value readExpertNow(napi_env env, napi_callback_info info) {
  Read read;
  napi_value into;
  if (!readArguments(env, info, &read, &into)) return nullptr;
  read.run();
  if (!read.error.empty()) napi_throw(env, errorOf(env, read));
  return nullptr;
}

struct AsyncRead : Read {
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  napi_ref into = nullptr;  // keeps the memory until the read is done
};

void finish(napi_env env, napi_status status, void* data) {
  std::unique_ptr<AsyncRead> read(static_cast<AsyncRead*>(data));
  if (status == napi_cancelled) read->error = "the process ends";
  napi_delete_reference(env, read->into);
  napi_delete_async_work(env, read->work);
  if (read->error.empty()) {
    napi_value nothing;
    napi_get_undefined(env, &nothing);
    napi_resolve_deferred(env, read->deferred, nothing);
  } else {
    napi_reject_deferred(env, read->deferred, errorOf(env, *read));
  }
}

// readExpert(handle, offset, length, crc, into): promise
napi_value readExpert(napi_env env, napi_callback_info info) {
  auto read = std::make_unique<AsyncRead>();
  napi_value into, name, promise;
  if (!readArguments(env, info, read.get(), &into)) return nullptr;
  napi_create_string_utf8(env, "lowbit:readExpert", NAPI_AUTO_LENGTH, &name);
  const auto execute = [](napi_env, void* data) { static_cast<AsyncRead*>(data)->run(); };
  if (napi_create_reference(env, into, 1, &read->into) != napi_ok ||
      napi_create_promise(env, &read->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, nullptr, name, execute, finish, read.get(), &read->work) != napi_ok ||
      napi_queue_async_work(env, read->work) != napi_ok) {
    return fail(env, "out-of-memory", "Could not start to read an expert.");
  }
  read.release();
  return promise;
}

// closeExperts(handle): at once, or when the last read under way is done
napi_value closeExperts(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (napi_get_value_external(env, argument, &data) == napi_ok) static_cast<FileRef*>(data)->reset();
  return nullptr;
}

}  // namespace

const Function kExpertFunctions[5] = {
    {"allocatePages", allocatePages}, {"openExperts", openExperts},   {"readExpert", readExpert},
    {"readExpertNow", readExpertNow}, {"closeExperts", closeExperts},
};
