// Arithmetic operators on Values; each knows the line that wrote it.
#pragma once

#include "ingot/ops/ops.h"

namespace ingot {

/// An operand of an operator: converting a Value to it captures the caller's location, which an
/// operator's own parameters cannot.
struct LocatedValue {
  Value value;
  SourceLocation location;
  // NOLINTNEXTLINE(google-explicit-constructor): the conversion is the point
  LocatedValue(Value v, SourceLocation loc = SourceLocation::current()) : value(v), location(loc) {}
};

inline Value operator+(LocatedValue a, LocatedValue b) {
  return ops::add(a.value, b.value, a.location);
}
inline Value operator-(LocatedValue a, LocatedValue b) {
  return ops::sub(a.value, b.value, a.location);
}
inline Value operator*(LocatedValue a, LocatedValue b) {
  return ops::mul(a.value, b.value, a.location);
}
inline Value operator/(LocatedValue a, LocatedValue b) {
  return ops::div(a.value, b.value, a.location);
}
inline Value operator-(LocatedValue a) { return ops::neg(a.value, a.location); }

/// A number takes the Value's dtype.
inline Value operator+(LocatedValue a, double b) {
  return ops::add(a.value, a.value.graph().scalar(b, a.value.dtype(), a.location), a.location);
}
inline Value operator-(LocatedValue a, double b) {
  return ops::sub(a.value, a.value.graph().scalar(b, a.value.dtype(), a.location), a.location);
}
inline Value operator*(LocatedValue a, double b) {
  return ops::mul(a.value, a.value.graph().scalar(b, a.value.dtype(), a.location), a.location);
}
inline Value operator/(LocatedValue a, double b) {
  return ops::div(a.value, a.value.graph().scalar(b, a.value.dtype(), a.location), a.location);
}
inline Value operator+(double a, LocatedValue b) { return b + a; }
inline Value operator*(double a, LocatedValue b) { return b * a; }
inline Value operator-(double a, LocatedValue b) {
  return ops::sub(b.value.graph().scalar(a, b.value.dtype(), b.location), b.value, b.location);
}
inline Value operator/(double a, LocatedValue b) {
  return ops::div(b.value.graph().scalar(a, b.value.dtype(), b.location), b.value, b.location);
}

}  // namespace ingot
