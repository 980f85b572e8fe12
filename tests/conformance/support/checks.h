// The checks: each knows records, none knows an op.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/support/op_case.h"

namespace ingot::conformance {

// Of a record as a whole.
void check_record(const OpDef& op);
/// Every constraint is broken by a bad case or by data.
void check_constraints(const OpDef& op);
/// At most half of the cases, and of their gradients, are all zeros: such a case passes whatever a
/// kernel does.
void check_shows(const OpDef& op);
void check_bad_case(const OpDef& op, const BadCase& bad);

// Of a case, on the reference.
/// The kernel writes every byte of the inferred outputs and none around them; a body gives the
/// inferred types.
void check_shape(const Case& item);
/// Text that reads back to the same Graph with the same results.
void check_print(const Case& item);
/// Two evaluations are equal to the bit.
void check_repeat(const Case& item);
/// The scalar program gives what the reference gives.
void check_expr(const Case& item);
/// A batch of none is refused by a rule, or works.
void check_zero(const Case& item);
/// Integer operands out of their range latch an error that says where, or have a meaning.
void check_data(const Case& item);
/// Constraints that check_data has seen broken, by index.
std::vector<int> rules_broken_by_data(const Case& item);
/// Finite differences in f64.
void check_gradient(const Case& item);
bool has_gradient_check(const Case& item);
bool gradient_is_zero(const Case& item);
/// What the batch rule says holds for every assignment of batch axes.
void check_batch(const Case& item);

// Of a case, on a backend.
/// Equal to the reference within the record's tolerance, twice to the bit, with 1 and 2 threads.
void check_backend(const Case& item, const std::string& backend);
/// The checked-in list names only what exists.
void check_refusal_list();
/// CONFORMANCE_WRITE_REFUSALS: the list is written anew after the run, and no refusal fails.
bool rewrites_refusals();
void write_refusals();
/// Backends that can run here; one that cannot is reported in one line.
std::vector<std::string> usable_backends();

/// One check a planted bug: the suite finds it. Empty in builds without INGOT_PLANTED_BUGS.
std::vector<std::pair<std::string, void (*)()>> planted_bug_checks();

}  // namespace ingot::conformance
