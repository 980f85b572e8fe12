#include "ingot/backends/cuda/driver/nvrtc.h"

#include <fmt/core.h>
#include <nvrtc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ingot/backends/cuda/driver/library.h"
#include "ingot/base/all_cores.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kNames{"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

struct Compiler {
  Library library{kNames};
  decltype(&::nvrtcVersion) version = nullptr;
  decltype(&::nvrtcCreateProgram) create = nullptr;
  decltype(&::nvrtcCompileProgram) compile = nullptr;
  decltype(&::nvrtcDestroyProgram) destroy = nullptr;
  decltype(&::nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&::nvrtcGetProgramLog) log = nullptr;
  decltype(&::nvrtcGetCUBINSize) cubin_size = nullptr;
  decltype(&::nvrtcGetCUBIN) cubin = nullptr;
  std::string trouble;

  Compiler() {
    if (!library.loaded()) {
      trouble = fmt::format("no NVRTC ({})", library.detail());
      return;
    }
    const auto find = [this](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.symbol(name));
      if (function == nullptr) trouble = fmt::format("an NVRTC without {}", name);
    };
    find(version, "nvrtcVersion");
    find(create, "nvrtcCreateProgram");
    find(compile, "nvrtcCompileProgram");
    find(destroy, "nvrtcDestroyProgram");
    find(log_size, "nvrtcGetProgramLogSize");
    find(log, "nvrtcGetProgramLog");
    find(cubin_size, "nvrtcGetCUBINSize");
    find(cubin, "nvrtcGetCUBIN");
  }
};

const Compiler& compiler() {
  static const Compiler instance;
  return instance;
}

/// FNV-1a over the text, twice with different starts: 128 bits.
std::string hash_of(const std::string& text) {
  std::array<std::uint64_t, 2> hash{0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
  for (const char c : text) {
    for (std::uint64_t& h : hash) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    hash[1] = hash[1] << 13 | hash[1] >> 51;
  }
  return fmt::format("{:016x}{:016x}", hash[0], hash[1]);
}

fs::path cache_folder() {
  if (const char* own = std::getenv("XDG_CACHE_HOME"); own != nullptr && *own != '\0') {
    return fs::path(own) / "ingot" / "cuda";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return fs::path(home) / ".cache" / "ingot" / "cuda";
  }
  return {};
}

std::string version_text() {
  int major = 0;
  int minor = 0;
  compiler().version(&major, &minor);
  return fmt::format("{}.{}", major, minor);
}

}  // namespace

std::string compiler_trouble() { return compiler().trouble; }

std::string compiler_description() {
  return fmt::format("{} from {}", version_text(), compiler().library.detail());
}

std::vector<char> compile_uncached(const std::string& source, int arch) {
  const Compiler& c = compiler();
  if (!c.trouble.empty()) {
    Error error = unsupported_error(
        fmt::format("device \"cuda\": must be able to compile kernels, got {}", c.trouble));
    error.help("install CUDA's NVRTC, for example with pip install nvidia-cuda-nvrtc");
    throw error;
  }
  nvrtcProgram program = nullptr;
  if (c.create(&program, source.c_str(), "ingot.cu", 0, nullptr, nullptr) != NVRTC_SUCCESS) {
    throw internal_error("cuda: nvrtc must make a program, got none");
  }
  // From 9.0 on, chip-specific instructions need the suffix.
  const std::string target = fmt::format("-arch=sm_{}{}", arch, arch >= 90 ? "a" : "");
  const std::array options{target.c_str(), "-std=c++17", "-default-device"};
  const nvrtcResult result = c.compile(program, static_cast<int>(options.size()), options.data());
  if (result != NVRTC_SUCCESS) {
    std::size_t size = 0;
    c.log_size(program, &size);
    std::string log(size, '\0');
    if (size > 0) c.log(program, log.data());
    c.destroy(&program);
    throw internal_error(fmt::format("cuda: generated kernels must compile, got\n{}", log));
  }
  std::size_t size = 0;
  c.cubin_size(program, &size);
  std::vector<char> code(size);
  c.cubin(program, code.data());
  c.destroy(&program);
  return code;
}

CompiledKernels compile_kernels(const std::string& source, int arch) {
  if (!compiler().trouble.empty()) return {compile_uncached(source, arch)};  // throws
  const fs::path folder = cache_folder();
  const fs::path file =
      folder / (hash_of(fmt::format("{} sm_{}\n{}", version_text(), arch, source)) + ".cubin");
  if (!folder.empty()) {
    if (std::ifstream in(file, std::ios::binary); in) {
      std::vector<char> code{std::istreambuf_iterator<char>(in), {}};
      if (!code.empty()) return {std::move(code), true};
    }
  }
  std::vector<char> code = compile_uncached(source, arch);
  if (!folder.empty()) {
    // A cache that cannot be written costs time, not results. Written aside and renamed, so that
    // another process never reads half a file.
    std::error_code error;
    fs::create_directories(folder, error);
    const fs::path aside = folder / fmt::format("{}.{}", file.filename().string(), getpid());
    std::ofstream out(aside, std::ios::binary);
    out.write(code.data(), static_cast<std::streamsize>(code.size()));
    out.close();
    if (out) {
      fs::rename(aside, file, error);
    } else {
      fs::remove(aside, error);
    }
  }
  return {std::move(code)};
}

std::vector<CompiledKernels> compile_kernels(std::span<const std::string> sources, int arch) {
  std::vector<CompiledKernels> compiled(sources.size());
  on_all_cores(sources.size(),
               [&](std::size_t i, int) { compiled[i] = compile_kernels(sources[i], arch); });
  return compiled;
}

}  // namespace ingot::cuda
