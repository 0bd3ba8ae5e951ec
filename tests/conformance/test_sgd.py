"""scikit-learn's tests of SGDClassifier, where they are about the log loss or about any."""

import pytest

from tests.conformance import functions_of, in_the_place_of_theirs, load_tests_of
from tests.conformance.sgd import SGDClassifier

theirs = load_tests_of("test_sgd", SGDClassifier=SGDClassifier)
globals().update(functions_of(theirs))


@pytest.fixture(autouse=True)
def ours_in_the_place_of_theirs():
    """The module looks the class up in sklearn.linear_model whenever it makes one."""
    with in_the_place_of_theirs(SGDClassifier=SGDClassifier):
        yield


SKIPPED = {
    "another estimator of scikit-learn's": ["*_oneclass*", "*one_class*", "test_ocsvm_vs_sgdocsvm"]
    + [f"* *{name}*" for name in ("SGDRegressor", "SGDOneClassSVM")],
    "a loss of scikit-learn's, with no estimator": ["test_loss_*", "test_gradient_*"],
    "another loss than the log loss": [
        "test_average_binary_computed_correctly",
        "test_average_sparse",
        "test_elasticnet_convergence",
        "test_late_onset_averaging_reached",
        "test_learning_rate_PA_raises",
        "test_numerical_stability_large_gradient",
        "test_partial_fit",
        "test_partial_fit_equal_fit",
        "test_regression_losses",
        "test_sgd_averaged_*",
        "test_sgd_clf",
        "test_sgd_epsilon_insensitive",
        "test_sgd_huber_fit",
        "test_sgd_least_squares_fit",
        "test_sgd_multiclass_average",
        "test_sgd_predict_proba_method_access",
        "test_sgd_proba",
        "test_sgd_reg",
        "test_underflow_or_overflow",
    ],
    "figures of the hinge loss: scikit-learn misses them too with the log loss": [
        "test_class_weights",
        "test_equal_class_weight",
        "test_l1_ratio",
        "test_sample_weights",
    ],
    "what scikit-learn keeps beside: ours has other attributes": [
        "test_plain_has_no_average_attr",
        "test_validation_mask_correctly_subsets",
    ],
    "the parameters coef_init and intercept_init: ours starts from coefficients that were set": [
        "test_provide_coef",
        "test_set_coef_multiclass",
        "test_set_intercept_offset",
        "test_sgd_multiclass_with_init_coef",
    ],
    "which rows are kept aside": ["test_validation_set_not_used_for_training *SGDClassifier"],
    "one against the rest: softmax does well there without weights": ["test_balanced_weight"],
    "0 to 6 decimals: the optimum is at 1e-5": ["test_large_regularization l2"],
    "parameters that ours does not have": [
        "test_power_t_limits",  # negative ones
        "test_sgd_failing_penalty_validation",
    ],
    "processes of joblib, 25 s; tests/test_concurrency.py has them": [
        "test_multi_core_gridsearch_and_early_stopping",
    ],
    "words of a message; ours has others": [
        "test_partial_fit_weight_class_balanced",
        "test_sgd_early_stopping_with_partial_fit",
        "test_sgd_error_on_zero_validation_weight",
        "test_tol_parameter",
    ],
}
XFAILED = {
    "L1 by proximal steps: coefficients near 0 are not yet 0 after rows one at a time": [
        "test_sgd_l1",
    ],
}
