// What the CUDA backend makes of small nets, planned for a GPU that need not be here.
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/step/local_slots.h"
#include "ingot/backends/cuda/step/stage_levels.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/nn/models/models.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::cuda {
namespace {

const GpuFacts kH200{.name = "H200", .arch = 90, .multiprocessors = 132};

Program lower(const Graph& graph) {
  static const CudaBackend backend(nullptr, kH200);
  PassContext context(backend);
  std::unique_ptr<Graph> lowered = run_passes(graph, pass_list(), {}, context);
  return build_program(std::move(lowered), backend, context.form);
}

TEST(CudaSourceSmallNets, NearlyAllAreOneKernel) {
  constexpr std::size_t kFew = 4;
  int few = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const small_nets::Net net = small_nets::make_net(seed);
    const Program program = lower(small_nets::train_graph(net, net.batch));
    few += step_source(program, kH200, {}).kernels.size() <= kFew ? 1 : 0;
  }
  EXPECT_GE(few, 45);
}

Program program_of(std::string_view model) {
  const nn::ModelInfo& info = nn::find_model(model);
  const nn::ModelOptions& m = info.defaults;
  return lower(train::build_train_graph(*info.make(m), {m.channels, m.height, m.width}, 32, {}));
}

Schedule schedule_of(std::string_view model) { return schedule(program_of(model), kH200); }

Program program_of_seed(std::uint64_t seed) {
  const small_nets::Net net = small_nets::make_net(seed);
  return lower(small_nets::train_graph(net, net.batch));
}

TEST(CudaSourceSmallNets, HeavyConvolutionsOfFewItemsRunOnAllBlocks) {
  // A batch of 16 images.
  const Program program = program_of_seed(3);
  const Schedule schedule = cuda::schedule(program, kH200);
  int spread = 0;
  for (const Phase& phase : schedule.phases) {
    for (const PlacedStage& placed : phase.grid) {
      const bool convolves = placed.stage.body.find("conv_item<") != std::string::npos ||
                             placed.stage.body.find("weight_grad_item<") != std::string::npos;
      if (!convolves) continue;
      EXPECT_EQ(placed.stage.units % schedule.items, 0) << placed.stage.what;
      EXPECT_GT(placed.stage.units, 4 * schedule.items) << placed.stage.what;
      ++spread;
    }
  }
  EXPECT_GE(spread, 3);
}

TEST(CudaSourceSmallNets, ALargeKernelFindsPlacesWhereTheyAreUsed) {
  const auto text_of = [](const Program& program) {
    return step_source(program, kH200, {}).texts.front();
  };
  EXPECT_EQ(text_of(program_of_seed(3)).find("threadIdx.x"), std::string::npos);
  for (const char* model : {"seed-cnn", "mlp784"}) {
    EXPECT_NE(text_of(program_of(model)).find("threadIdx.x"), std::string::npos) << model;
  }
}

TEST(CudaSourceSmallNets, NothingButFeedsIsReadBeforeTheStepAheadHasEnded) {
  for (const std::string_view model : {"seed-cnn", "mlp784"}) {
    SCOPED_TRACE(model);
    const Program program = program_of(model);
    const StepSource source = step_source(program, kH200, {});
    const std::string& text = source.texts.front();
    const std::size_t begin = text.find("void __launch_bounds__");
    const std::size_t turn = text.find("take_turn();", begin);
    ASSERT_NE(turn, std::string::npos);
    const std::string before = text.substr(begin, turn - begin);
    std::set<int> feeds;
    for (const BoundFeed& feed : program.feeds) feeds.insert(program.root_of(feed.slot));
    const std::regex pointer(R"(P\.p\[([0-9]+)\])");
    std::size_t reads = 0;
    for (std::sregex_iterator it(before.begin(), before.end(), pointer), end; it != end; ++it) {
      const Pointer& read = source.kernels.front().pointers.at(std::stoul((*it)[1]));
      EXPECT_TRUE(feeds.contains(read.slot)) << read.slot;
      ++reads;
    }
    // A block's label and image; the rows of mlp784 are the work of all blocks.
    EXPECT_EQ(reads, model == "seed-cnn" ? 2u : 0u) << before;
    EXPECT_EQ(before.find("P.control"), std::string::npos) << before;
    EXPECT_EQ(before.find("stage_"), std::string::npos) << before;
  }
}

TEST(CudaSourceSmallNets, BlocksWaitForOneAnotherAsSeldomAsTheDataAllows) {
  // Per image all the way to the weights' gradients; then their sums, each with its update.
  EXPECT_EQ(schedule_of("seed-cnn").phases.size(), 2u);
  // The widest product is no image's work.
  EXPECT_EQ(schedule_of("mlp784").phases.size(), 3u);
}

TEST(CudaSourceSmallNets, NoBlockDoesTwoUnitsOfAPhaseWhileOthersWait) {
  for (const Phase& phase : schedule_of("mlp784").phases) {
    std::int64_t units = phase.lanes;
    for (const PlacedStage& placed : phase.grid) units += placed.stage.units;
    EXPECT_LE(units, kH200.multiprocessors);
  }
}

TEST(CudaSourceSmallNets, IndependentStagesOfAnItemRunAtOnceOnWarpsOfTheirOwn) {
  const Program program = program_of("mlp784");
  const Schedule schedule = cuda::schedule(program, kH200);
  const std::vector<Level> levels = levels_of(program, schedule.phases[1].items);
  // Two products, what the logits are needed for, two products back.
  ASSERT_EQ(levels.size(), 5u);
  const Level& middle = levels[2];
  ASSERT_EQ(middle.stages.size(), 3u);
  for (std::size_t i = 0; i < middle.stages.size(); ++i) {
    EXPECT_EQ(middle.stages[i].first_warp, static_cast<int>(i));
    EXPECT_EQ(middle.stages[i].placed->stage.threads_used, 32);
  }
}

TEST(CudaSourceSmallNets, WhatAPhaseInFrontDoesNotChangeIsCopiedAhead) {
  const Program program = program_of("mlp784");
  const Schedule schedule = cuda::schedule(program, kH200);
  const std::vector<PhaseLocals> locals = local_slots(program, schedule);
  // Weights and biases were updated in the step before; the first product's results are just made.
  int ahead = 0;
  for (const LocalCopy& copy : locals[1].once) ahead += copy.early ? 1 : 0;
  EXPECT_EQ(ahead, 4);
  EXPECT_EQ(locals[1].once.size(), 4u);
  const int results = schedule.phases[0].grid.front().stage.accesses.back().slot;
  for (const LocalCopy& copy : locals[1].per_item) {
    EXPECT_EQ(copy.early, copy.root != program.root_of(results));
  }
}

TEST(CudaSourceSmallNets, NothingChangesWhatIsCopiedAhead) {
  int ahead = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const small_nets::Net net = small_nets::make_net(seed);
    for (const std::int64_t batch : {std::int64_t{2}, net.batch}) {
      const Program program = lower(small_nets::train_graph(net, batch));
      const Schedule schedule = cuda::schedule(program, kH200);
      const std::vector<PhaseLocals> locals = local_slots(program, schedule);
      for (std::size_t i = 0; i < locals.size(); ++i) {
        const Phase& front = schedule.phases[(i + locals.size() - 1) % locals.size()];
        std::set<int> written;
        for (const auto* list :
             {&front.every, &front.items, &front.grid, &front.single, &schedule.phases[i].every}) {
          for (const PlacedStage& placed : *list) {
            for (const Access& access : placed.stage.accesses) {
              if (access.write && access.slot >= 0) written.insert(program.root_of(access.slot));
            }
          }
        }
        for (const auto* list : {&locals[i].once, &locals[i].per_item}) {
          for (const LocalCopy& copy : *list) {
            if (!copy.early) continue;
            EXPECT_FALSE(written.contains(copy.root)) << seed << ", phase " << i;
            ++ahead;
          }
        }
      }
    }
  }
  EXPECT_GT(ahead, 100);
}

TEST(CudaSourceSmallNets, ASumOfOneTermAnItemIsAddedUpAtOnce) {
  for (const char* model : {"mlp784", "seed-cnn"}) {
    for (const Phase& phase : schedule_of(model).phases) {
      for (const PlacedStage& placed : phase.items) {
        // Correct answers, and the last bias' gradient.
        EXPECT_NE(placed.stage.what, "sum \"sum_0\"") << model;
        EXPECT_NE(placed.stage.what, "sum \"sum_1\"") << model;
      }
    }
  }
}

}  // namespace
}  // namespace ingot::cuda
