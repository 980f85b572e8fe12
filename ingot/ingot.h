// Everything that a program which trains or runs networks needs.
#pragma once

#include "ingot/autodiff/gradients.h"
#include "ingot/base/error.h"
#include "ingot/data/data_spec.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/executable.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/loss.h"
#include "ingot/nn/models/models.h"
#include "ingot/nn/residual.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/optim/optimizer.h"
#include "ingot/optim/schedule.h"
#include "ingot/runtime/backend.h"
#include "ingot/runtime/variable_store.h"
#include "ingot/train/trainer.h"
