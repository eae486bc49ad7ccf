"""Exported layers asked through onnxruntime, without torch: numpy, tokenizers and jinja2 are all that is loaded.

    decoder = OnnxDecoder(folder, threads=2)                      onnx_decoder: kind `causal`
        .text      Text: encode, decode, apply_chat_template as transformers' tokenizer has them (text)
        .stops     ids that end an answer        .positions   most tokens together, or None
        .generate(prompts, max_new_tokens=, choice=Choice(temperature=, top_p=, seed=), heard=(row, id) -> go on?)
    OnnxEmbedder(folder).embed(texts, dimensions=)                onnx_numbers: kind `encoder`
    OnnxReranker(folder).score(pairs)                             onnx_numbers: kind `reranker`
    OnnxProjection(folder).project(vectors)                       onnx_numbers: kind `projection`
    manifest.manifest_in(folder).kind                             which of them a folder is
All raise WorkerFailure for a folder that is not what it should be.
"""
