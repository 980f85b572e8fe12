// NVRTC's functions, by which kernels are compiled for the CPU: the "cubin" is a shared library.
#include <nvrtc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/emulator/blob.h"
#include "tests/emulator/compiler.h"
#include "tests/emulator/rewrite.h"

struct _nvrtcProgram {
  std::string source;
  std::string log;
  std::string code;
};

namespace ingot::emulator {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Of everything that goes into a kernel's code apart from its text.
unsigned fingerprint() {
  unsigned hash = 2166136261u;
  const auto add = [&hash](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  };
  add(compiler());
  add(kFlags);
  for (const char* name :
       {"device.h", "device_math.h", "device_types.h", "device_warp.h", "intrinsics.h",
        "mma_intrinsics.h", "kernel_interface.h", "rewrite.cpp"}) {
    add(content(fs::path(INGOT_EMULATOR_ROOT) / "tests/emulator" / name));
  }
  return hash;
}

bool compile(_nvrtcProgram& program) {
  std::string folder = (fs::temp_directory_path() / "ingot-kernels-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return false;
  const fs::path at(folder);
  std::ofstream(at / "kernels.cpp")
      << "#include \"tests/emulator/device.h\"\nnamespace ingot_kernels {\n#line 1\n"
      << rewrite_kernels(program.source) << "\n}\n";
  const std::string command = compiler() + " " + kFlags + " -I" + INGOT_EMULATOR_ROOT + " -o " +
                              (at / "kernels.so").string() + " " + (at / "kernels.cpp").string() +
                              " 2> " + (at / "log").string();
  const int status = std::system(command.c_str());
  program.log = content(at / "log");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    program.code = to_blob(content(at / "kernels.so"));
  }
  const char* keep = std::getenv("INGOT_EMULATOR_KEEP");
  if (keep != nullptr) {
    std::fprintf(stderr, "emulator: kept %s\n", folder.c_str());
  } else {
    std::error_code error;
    fs::remove_all(at, error);
  }
  return !program.code.empty();
}

}  // namespace
}  // namespace ingot::emulator

nvrtcResult nvrtcVersion(int* major, int* minor) {
  // Part of the key under which compiled kernels are kept: apart from NVIDIA's, and made anew when
  // the emulator changes.
  static const auto hash = static_cast<int>(ingot::emulator::fingerprint() & 0x7fffffff);
  *major = 0;
  *minor = hash;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char*, int,
                               const char* const*, const char* const*) {
  *program = new _nvrtcProgram{source, {}, {}};
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  delete *program;
  *program = nullptr;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int, const char* const*) {
  return ingot::emulator::compile(*program) ? NVRTC_SUCCESS : NVRTC_ERROR_COMPILATION;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, std::size_t* bytes) {
  *bytes = program->log.size() + 1;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, std::size_t* bytes) {
  *bytes = program->code.size();
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* code) {
  std::memcpy(code, program->code.data(), program->code.size());
  return NVRTC_SUCCESS;
}
