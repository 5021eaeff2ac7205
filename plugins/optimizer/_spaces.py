"""Where a search looks for the numbers that many rules have."""

from experiments import complement_range, log_range

LR = log_range(1e-4, 1, "Schmidt et al., 2021")  # of gradients as they are
MOMENTUM = complement_range(0.9, 0.996, "AlgoPerf")

# Of gradients over their size, as Adam has them.
ADAPTIVE_LR = log_range(1e-4, 1e-2, "AlgoPerf NAdamW")
BETA1 = complement_range(0.9, 0.996, "AlgoPerf NAdamW")
BETA2 = complement_range(0.8, 0.999, "Schmidt et al., 2021")
# With a large one Adam is momentum: a search without it can make Adam lose to a rule that it holds.
EPS = log_range(1e-10, 1e-2, "Choi et al., 2019")
WEIGHT_DECAY = log_range(5e-3, 1, "AlgoPerf NAdamW")  # times lr
