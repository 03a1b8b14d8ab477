"""What tokens cost, from published price lists (genai-prices) or from what a person says."""

from __future__ import annotations

from volition.judges.settings import Price

# our prefix: the provider's name in the price lists
PROVIDERS = {
    "openai": "openai",
    "openai-decisions": "openai-decisions",
    "anthropic": "anthropic",
    "gemini": "google",
}


def cost_usd(
    provider: str,
    model: str,
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached_tokens: int = 0,
    written_tokens: int = 0,
    base_url: str | None = None,
    price: Price | None = None,
) -> float | None:
    """US dollars for one request, or None where no price is known.

    Args:
        provider: The judge's prefix, such as `openai`.
        model: As the provider names it.
        prompt_tokens: All that went in, those read from a cache included.
        completion_tokens: All that came out, those of hidden reasoning included.
        cached_tokens: How many of `prompt_tokens` were read from a cache.
        written_tokens: How many of them were written into it; some providers charge more for that.
        base_url: Where the request went, if not to the provider itself. A model that is served
            elsewhere has another price, whatever it is called.
        price: Given by a person; it goes before any list.
    """
    if price is not None:
        return (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
    if base_url is None and provider not in PROVIDERS:
        return None
    try:
        from genai_prices import Usage, calc_price  # a second to import: only for those who pay
    except ImportError:  # comes with the providers' packages; a server of one's own has no price
        return None

    usage = Usage(
        input_tokens=prompt_tokens,
        output_tokens=completion_tokens,
        cache_read_tokens=min(cached_tokens, prompt_tokens) or None,
        cache_write_tokens=min(written_tokens, prompt_tokens - cached_tokens) or None,
    )
    try:
        if base_url is not None:
            priced = calc_price(usage, model, provider_api_url=base_url)
        else:
            priced = calc_price(usage, model, provider_id=PROVIDERS[provider])
    except (LookupError, ValueError):
        return None
    return float(priced.total_price)
