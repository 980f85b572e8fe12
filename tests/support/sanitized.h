// Whether a sanitizer watches this build.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INGOT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INGOT_SANITIZED 1
#endif
#endif
#ifndef INGOT_SANITIZED
#define INGOT_SANITIZED 0
#endif

namespace ingot::testing_support {

inline constexpr bool kSanitized = INGOT_SANITIZED != 0;

}  // namespace ingot::testing_support
