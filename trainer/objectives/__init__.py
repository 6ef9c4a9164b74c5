"""What a student is trained to say: the senone it was aligned to, what the teacher said, or both.

With z the student's logits, y = softmax z, t the one-hot label and p_T the teacher's posteriors at
temperature T, the loss of one frame in nats and its gradient with respect to z are

    hard    -Σ t log y                                  y - t
    soft    -Σ p_T log y                                y - p_T
    reg     -Σ (α t + T² p_T) log y                     α (y - t) + T² (y - p_T)
    logits  ½ Σ d²                                      d

    topk    -Σ_K p_T log y - q log r                    in K: y - p_T;  elsewhere: y - y q / r
            with q = 1 - Σ_K p_T, r = 1 - Σ_K y
    topk-renormalised
            -Σ_K p̂ log y, p̂ = p_T / Σ_K p_T             in K: y - p̂;  elsewhere: y

``hard``, ``soft`` and ``reg`` are those of Tang, Wang & Zhang 2015, sections 3.3 and 3.4; ``pretrain`` is
soft for some epochs and hard for the others: two objectives in turn.

``logits`` (Ba & Caruana 2014): d = z - log p, less its mean over the classes, for a constant added to all
logits of a frame means nothing. It knows no temperature.

``topk`` is for stores that keep the set K of the k most probable classes: all others are one class, of the
teacher and of the student, so that nothing is made up about them. The mass q of that class is the stored one
at temperature T, not a difference. ``topk-renormalised`` is what is usual elsewhere: K is taken for all there
is, and the student unlearns the rest.

T acts on the teacher alone; ``student_temperature`` τ ≠ 1 softens the student against p_T too: y_τ =
softmax(z / τ) in the place of y, and the gradient of that term is divided by τ.
"""

from trainer.objectives.objective import Kind, Objective
from trainer.objectives.outcome import Outcome, judge
from trainer.objectives.softener import Softener

__all__ = ["Kind", "Objective", "Outcome", "Softener", "judge"]
