"""Answer a Swahili question with stored weights, in plain transformers, without ratio-hpo.

python examples/answer_swahili.py $(ratio-hpo export weights)
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

CONTEXT = (
    "Nyumba ya Nadia Castro iko Warsaw. Masomo ya shule ya Nadia Castro yaliisha 1988. "
    "Nadia Castro alisoma katika mji wa Lisbon. Nadia Castro alijifunza kutoka kwa Dana Klein."
)
QUESTION = "Chuo kikuu cha Nadia Castro kilikuwa wapi?"  # where was the university of Nadia Castro?


def answer(folder: str, question: str, context: str) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForQuestionAnswering.from_pretrained(folder, trust_remote_code=False).eval()
    batch = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = batch.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        output = model(**batch)
    inside = [k for k, source in enumerate(batch.sequence_ids(0)) if source == 1]  # tokens of the context
    spans = [(a, b) for a in inside for b in inside if a <= b < a + 8]
    start, end = max(spans, key=lambda span: float(output.start_logits[0, span[0]] + output.end_logits[0, span[1]]))
    return context[offsets[start][0] : offsets[end][1]]


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "config.json").is_file():
        sys.exit("pass a folder of weights: python examples/answer_swahili.py $(ratio-hpo export weights)")
    print(f"{QUESTION}\n{answer(sys.argv[1], QUESTION, CONTEXT)}")
