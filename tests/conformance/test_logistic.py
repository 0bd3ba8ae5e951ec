"""scikit-learn's tests of LogisticRegression."""

import fastlogreg
from tests.conformance import functions_of, load_tests_of

theirs = load_tests_of(
    "test_logistic",
    LogisticRegression=fastlogreg.LogisticRegression,
    LogisticRegressionCV=fastlogreg.LogisticRegressionCV,
)
globals().update(functions_of(theirs))
pytestmark = theirs.pytestmark

SKIPPED = {
    "a function inside scikit-learn": [
        "test_consistency_path",
        "test_logistic_regression_path_*",
        "test_logistic_cv_multinomial_score",  # it hands all parameters to one
    ],
    "what one of scikit-learn's solvers does on its way": [
        "test_liblinear_dual_random_state",
        "test_newton_cholesky_fallback_to_lbfgs",
        "test_warm_start_newton_solver",  # two fits of a step each keep no Hessian
        "test_logreg_predict_proba_multinomial",  # a private method, one against the rest
        "test_logistic_regression_callback_support 0",  # an iteration where there was none
    ],
    "a limit of scikit-learn's solvers; ours take it": [
        "test_check_solver_option",
        "test_dtype_match *-liblinear",
        "test_large_sparse_matrix *-liblinear",
        "test_large_sparse_matrix *-sag*",
        "test_liblinear_multiclass_raises",
        "test_liblinear_with_large_values",
        "test_logistic_regression_callback_support_warning",
        "test_logisticregression_warns_with_n_jobs",
    ],
    # tol bounds the objective here, and coefficients differ by its root
    "coefficients closer than tol asks for": [
        "test_LogisticRegressionCV_on_folds",
        "test_elastic_net_vs_l1_l2 1",
        "test_logistic_regressioncv_class_weights weight-*",
        "test_logistic_regressioncv_class_weights balanced-*",
        "test_logistic_glmnet lbfgs",
        "test_logistic_regression_solvers_multiclass False",
        "test_logistic_regression_solvers_multiclass True",
        "test_scores_attribute_layout_elasticnet",
    ],
    "words of a message; ours has others (tests/test_as_scikit_learn.py)": ["test_max_iter"],
    "the array API": ["test_logistic_regression_array_api_*"],
}
XFAILED: dict[str, list[str]] = {}
