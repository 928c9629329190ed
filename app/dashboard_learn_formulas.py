"""The formulas of the page Learn: KaTeX comes with Streamlit and is served from this machine."""

from __future__ import annotations

from gradviz.analysis.toy_loop import Mistake, ToyLoop

WRONG = "#EE6677"  # the red of the pictures

FORMULAS = {
    "window": r"\begin{aligned} G_0 &= 0, \quad G_k = g_1 + \dots + g_k \\ w &\leftarrow w - \eta\, G_n \end{aligned}",
    "division": r"\nabla L = \frac{1}{n} \sum_{k=1}^{n} \nabla L_k"
    r"\quad\Longrightarrow\quad g_k = \nabla \frac{L_k}{n}",
    "reset": r"\begin{aligned} w_{t+1} &= w_t - \eta \sum_{s \le t} \nabla L^{(s)}(w_s) \\"
    r"\Longleftrightarrow\quad w_{t+1} - w_t &= (w_t - w_{t-1}) - \eta\, \nabla L^{(t)}(w_t) \end{aligned}",
    "short": r"\frac{1}{n} \sum_{k=1}^{m} \nabla L_k = \frac{m}{n} \cdot \frac{1}{m} \sum_{k=1}^{m} \nabla L_k",
    "tokens": r"\frac{1}{n} \sum_{k=1}^{n} \frac{1}{T_k} \sum_{i=1}^{T_k} \ell_{ki}"
    r"\;\neq\; \frac{\sum_k \sum_i \ell_{ki}}{T_1 + \dots + T_n}",
    "noise": r"\begin{aligned} \mathbb{E}\, \lVert G_n \rVert^2 &= n^2 \lVert g \rVert^2 + n\, \sigma^2 \\"
    r"B_{noise} &= \operatorname{tr} \Sigma \,/\, \lVert \nabla L \rVert^2 \end{aligned}",
    "clipping": r"G \leftarrow G \cdot \min\!\left(1, \frac{c}{\lVert G \rVert}\right)",
}


def update_formula(loop: ToyLoop) -> str:
    """The update that `loop` makes, its mistakes in red."""
    kept = _red("G_{t-1} +") if Mistake.RESET in loop.mistakes else ""
    total = r"\sum_{k=1}^{m \le n}" if Mistake.SHORT in loop.mistakes else r"\sum_{k=1}^{n}"
    return rf"w_{{t+1}} = w_t - \eta\, \Big( {kept} {_divided(loop)} {total} {_summand(loop)} \Big)"


def _divided(loop: ToyLoop) -> str:
    if Mistake.DIVISION in loop.mistakes:
        return _red(r"\cancel{\frac{1}{n}}")
    if Mistake.SHORT in loop.mistakes:
        return rf"\frac{{1}}{{{_red('n')}}}"
    return r"\frac{1}{n}"


def _summand(loop: ToyLoop) -> str:
    if Mistake.TOKENS in loop.mistakes:
        return _red(r"\frac{1}{T_k}") + r" \sum_{i=1}^{T_k} \nabla \ell_{ki}(w_t)"
    return r"\nabla L_k(w_t)"


def _red(formula: str) -> str:
    return rf"\textcolor{{{WRONG}}}{{{formula}}}"
