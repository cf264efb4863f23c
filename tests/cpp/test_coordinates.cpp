#include <vector>

#include "check.hpp"
#include "coordinates.hpp"
#include "threads.hpp"

using namespace fastfid;

namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Given {
  RowMajor rows, directions, table;
  VectorXd mean;

  RowMajor squares() const {
    RowMajor out(rows.rows(), table.rows());
    coordinates::squares({rows.data(), mean.data(), directions.data(), table.data(), rows.rows(), rows.cols(),
                          directions.rows(), table.rows()},
                         out.data());
    return out;
  }
};

Given given(Index n, Index d, Index p, Index k) {
  return {test::normal(n, d, 1), test::normal(p, d, 2), test::normal(k, p, 3), test::normal(d, 1, 4)};
}

void test_against_the_formula() {
  for (const Index n : {Index{1}, coordinates::kBlockRows, coordinates::kBlockRows + 1, Index{1000}}) {
    const Given g = given(n, 7, 5, 3);
    const RowMajor coordinates = (g.rows.rowwise() - g.mean.transpose()) * g.directions.transpose();
    const RowMajor expected = coordinates.cwiseAbs2() * g.table.transpose();
    CHECK_MOST((g.squares() - expected).cwiseAbs().maxCoeff(), 1e-12 * expected.cwiseAbs().maxCoeff());
  }
}

void test_threads_do_not_matter() {
  const Given g = given(1000, 37, 37, 11);
  const int before = threads::get();
  threads::set(1);
  const RowMajor one = g.squares();
  threads::set(3);
  CHECK(g.squares() == one);
  threads::set(before);
}

}  // namespace

int main() {
  test_against_the_formula();
  test_threads_do_not_matter();
  return test::result();
}
