#include "ingot/planner/report.h"

#include <algorithm>
#include <map>

#include "ingot/planner/lifetimes.h"

namespace ingot {

std::vector<OwnerBytes> largest_owners(const PlanRequest& request, std::size_t count) {
  const Lifetimes lifetimes = find_lifetimes(request);
  const int peak = peak_time(lifetimes);
  std::map<std::string, std::int64_t> totals;
  for (std::size_t i = 0; i < request.buffers.size(); ++i) {
    if (request.buffers[i].alias_of >= 0 || lifetimes.item_of[i] < 0) continue;
    const Lifetime& item = lifetimes.items[static_cast<std::size_t>(lifetimes.item_of[i])];
    if (item.first <= peak && peak <= item.last) totals[request.buffers[i].owner] += item.bytes;
  }
  std::vector<OwnerBytes> owners;
  for (const auto& [owner, bytes] : totals) owners.push_back({owner, bytes});
  std::ranges::sort(owners, [](const OwnerBytes& a, const OwnerBytes& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.owner < b.owner;
  });
  if (owners.size() > count) owners.resize(count);
  return owners;
}

}  // namespace ingot
