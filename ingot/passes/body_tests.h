// Comparisons inside the bodies of Regions, and bodies in which some of them come from outside or
// are results.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// A Value of bool in a body that is computed from one argument and constants.
struct BodyTest {
  Value result;
  const Node* argument;
  /// The same for equal tests.
  std::string key;
};

/// The tests through which alone the consumer, a Region, reads an operand; empty: it reads it
/// otherwise, too.
std::vector<BodyTest> tests_of(const Node& consumer, std::size_t operand);

/// What a Node, which may be a Region, becomes.
struct BodyChange {
  struct Added {
    int output;     ///< of the Node: what is tested
    BodyTest test;  ///< in any body
    Layout layout;
  };
  struct Replaced {
    Value test;  ///< in the Node's body
    int token;   ///< the same for equal tests
    Layout layout;
  };
  std::vector<int> kept;  ///< the Node's results that it still has; then come those added
  std::vector<Added> added;
  std::vector<Replaced> replaced;
};

/// A body and what its arguments stand for: the Node's old operands, or the tokens of tests.
struct ChangedBody {
  struct Operand {
    Value value;
    int token = -1;
  };
  std::unique_ptr<Graph> body;
  std::vector<Operand> operands;
};

ChangedBody change_body(const Node& node, const BodyChange& change);

}  // namespace ingot
