"""Limits of a model and its tokenizer: the longest input, and the rows of the table of embeddings."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.encoders.characters import find_characters
from probing.encoders.slow_tokenizers import open_backend
from probing.records import InputError

_UNBOUNDED = 1_000_000
"""Tokenizers that know no limit report a huge number."""


def find_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input in tokens, special tokens included.

    Raises:
        InputError: the tokenizer's settings name a limit that is none.
    """
    longest = tokenizer.model_max_length
    if not isinstance(longest, (int, float)) or not longest >= 1:
        raise InputError(
            f"{tokenizer.name_or_path}/tokenizer_config.json: model_max_length is {longest!r}; "
            "expected a number of tokens, or nothing: correct it"
        )
    # Saved as a number with a fraction, or as infinity, where a model knows no limit.
    longest = int(min(longest, _UNBOUNDED))
    # LED's encoder has a limit of its own.
    names = ("max_encoder_position_embeddings", "max_position_embeddings")
    positions = next(filter(None, (getattr(model.config, name, None) for name in names)), -1)
    if positions < 0:  # XLNet says so
        return longest
    if characters := find_characters(model):
        positions -= characters.room
    # RoBERTa counts positions from padding_idx + 1 on, so that its table holds two rows that no token can use.
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return min(longest, positions if padding is None else positions - padding - 1)


def choose_limit(max_length: int, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The limit asked for, or the encoder's own where that is smaller or 0 was asked for.

    Raises:
        InputError: it leaves no room for a word of a sentence pair beside the special tokens.
    """
    limit = min(max_length or _UNBOUNDED, find_limit(model, tokenizer))
    least = open_backend(tokenizer).num_special_tokens_to_add(is_pair=True) + 1
    if limit < least:
        asked = f"--max-length {limit}" if max_length == limit else f"the encoder's own limit of {limit} tokens"
        raise InputError(f"{asked}: special tokens and one word take {least}; expected at least that")
    return limit


def check_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """See that every token that a text can have has a row in the table of embeddings.

    Marks that were added and that no text becomes (a padding token beyond the table) need none.

    Raises:
        InputError: one has not.
    """
    try:
        n_rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    except NotImplementedError:  # no table of words, as in CANINE and in models of sounds and images
        n_rows = None
    if n_rows is None:
        return
    marks = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    words = {word: number for word, number in tokenizer.get_vocab().items() if number not in marks}
    last = max(words, key=lambda word: words[word], default="")
    if last and words[last] >= n_rows:
        raise InputError(
            f"checkpoint {name}: its tokenizer has token {last!r} with number {words[last]}, and the model has "
            f"{n_rows} embeddings; take the tokenizer that belongs to it"
        )
