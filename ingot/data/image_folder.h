// Images sorted into a folder for each class.
#pragma once

#include <filesystem>

#include "ingot/data/dataset.h"

namespace ingot::data {

/// A folder with train/CLASS/*.jpg and test/CLASS/*.jpg, decoded on all cores: u8 [N,C,H,W] in the
/// order of the classes' names and then of the files'. Files end in .jpg, .jpeg or .png, in any
/// case; others are passed over. Classes are the folders below train/. All images have the size of
/// the first; with one of colour among them, grey ones become red, green and blue of equal value.
/// Errors `folder "DIR": <rule>, got ...`: no train/ or test/; fewer than two classes; a class
/// without images; a class in test/ alone; sizes that differ; colour in test/ alone. And those of
/// decode_jpeg and decode_png; of several files, the first one's.
DatasetPair load_image_folder(const std::filesystem::path& folder);

}  // namespace ingot::data
