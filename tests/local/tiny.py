"""A tiny LLaVA with random weights, made here: it sees, and answers with a letter at random."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

IMAGE_SIDE, PATCH = 32, 8
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def build(folder: Path, seed: int = 0) -> Path:
    """Writes model, tokenizer and processor into `folder`, as they would come from the hub."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    torch.manual_seed(seed)
    processor = make_processor()
    tokenizer = processor.tokenizer
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        projection_dim=32,
        initializer_range=0.5,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        initializer_range=0.05,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=processor.image_token_id,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config).eval()
    prefer_letters(model, tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_processor() -> Any:
    """One token a byte, and a picture of 32 pixels in patches of 8."""
    from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

    decoders, models, pre_tokenizers = (
        import_module(f"tokenizers.{name}") for name in ("decoders", "models", "pre_tokenizers")
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = import_module("tokenizers").Tokenizer(
        models.BPE({letter: place for place, letter in enumerate(letters)}, [])
    )
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
        padding_side="left",
    )
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": IMAGE_SIDE},
            crop_size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
        image_token="<image>",
    )


def prefer_letters(model: Any, tokenizer: Any) -> None:
    """Makes A and B the likely next tokens wherever a reply begins, and which of them random."""
    import torch

    prompt = tokenizer("user: 1 A\nassistant:", return_tensors="pt")
    with torch.no_grad():
        # The last word outweighs all before it, so that every reply begins much alike.
        model.model.language_model.embed_tokens.weight.normal_()
        hidden = model.model.language_model(**prompt).last_hidden_state[0, -1]
        head = model.lm_head.weight
        head.zero_()
        for letter in "AB":
            token = tokenizer.convert_tokens_to_ids(letter)
            differs = 8 * torch.randn_like(hidden)
            differs -= hidden * (differs @ hidden) / hidden.square().sum()
            head[token] = 12 * hidden / hidden.square().sum() + differs
