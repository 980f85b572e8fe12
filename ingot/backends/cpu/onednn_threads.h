// Keeps oneDNN to one thread: Ingot's own threads are the only parallelism.
#pragma once

// The two functions needed of the OpenMP runtime; its header is not part of every compiler.
extern "C" void omp_set_num_threads(int threads);
extern "C" int omp_get_max_threads();

namespace ingot::cpu::onednn {

/// While alive, oneDNN sees one thread, here where it decides how a primitive splits its work.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace ingot::cpu::onednn
