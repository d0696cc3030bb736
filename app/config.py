"""Settings: one table, read from the environment, `.env` and `config.toml`, in this order of strength.

Each field of `Settings` is a row of the table: its name in upper case is the name in the environment and in `.env`,
in lower case the key in `config.toml`; the metadata holds the help text. `docs/configuration.md` is made from it.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from app.config_files import read_env_file, read_toml
from app.config_values import (
    ApiKey,
    Secret,
    holds_login,
    is_every_page,
    one_of,
    parse_api_keys,
    parse_database_url,
    parse_flag,
    parse_http_url,
    parse_line,
    parse_origins,
    parse_secret,
    parse_text,
    parse_token,
    seconds,
    whole,
)

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each fault, each with its key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _row(default: str, parse: Callable[[str], Any], text: str, *, secret: bool = False) -> Any:
    """Declare a setting: its default as a person would write it, its reader, its help."""
    return field(metadata={"default": default, "parse": parse, "help": text, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting. `root` is the project folder that relative paths start from."""

    root: Path
    model_aliases: Mapping[str, str]
    token_in_environment: Secret

    qwen_auth_token: Secret = _row("", parse_token, "The account's token: `.env` or environment only", secret=True)
    env_file: str = _row(".env", parse_text, "Where the token is read and watched")
    config_file: str = _row("config.toml", parse_text, "The file of settings")
    qwen_cookie: Secret = _row(
        "",
        parse_secret,
        "Optional: the Cookie header of your own browser; `token` or `refresh_token` in it renew the login",
        secret=True,
    )
    qwen_base_url: str = _row("https://chat.qwen.ai", parse_http_url, "The site")
    qwen_auth_url: str = _row("https://auth.qwen.ai", parse_http_url, "The site's host that renews the login")
    qwen_user_agent: str = _row(
        "", parse_line, "The User-Agent of your own browser, to go with its cookies; empty: our own name"
    )
    upstream: str = _row(
        "auto", one_of("auto", "qwen", "emulator"), "`auto`: `qwen` with a token, else the embedded `emulator`"
    )
    host: str = _row("127.0.0.1", parse_text, "Address to listen on")
    port: int = _row("5000", whole(0, 65535), "Port to listen on; 0 takes a free one")
    api_keys: tuple[ApiKey, ...] = _row(
        "",
        parse_api_keys,
        "Comma list of `KEY` or `OWNER:KEY`; empty: open, on loopback only. Owners do not see each other's chats",
        secret=True,
    )
    allow_open: bool = _row("0", parse_flag, "1: listen beyond loopback without keys (a trusted network only)")
    cors_origins: tuple[str, ...] = _row(
        "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,https://localhost:*,https://127.0.0.1:*,app://*",
        parse_origins,
        "Comma list of web origins that may call; `*` only with API keys",
    )
    database_url: str = _row(
        "sqlite:///data/qwen-thread.db",
        parse_database_url,
        "Three slashes: relative to the project folder; four: absolute",
    )
    emulator_file: str = _row("data/emulator.jsonl", parse_text, "Where the embedded emulator keeps its chats")
    max_concurrent: int = _row("64", whole(0), "Answers that the account may generate at once; 0: no limit")
    queue_size: int = _row("1000", whole(0), "Requests that may wait for their turn; one more gets 429")
    pace_seconds: float = _row("0", seconds(0), "Least seconds between the starts of two answers")
    block_pause_seconds: float = _row(
        "60",
        seconds(0),
        "Seconds for which the site is left alone after its bot protection answered, doubling up to an hour",
    )
    connect_timeout: float = _row("10", seconds(0, above=True), "Seconds to reach upstream")
    first_event_timeout: float = _row("120", seconds(0, above=True), "Seconds until upstream begins to answer")
    between_events_timeout: float = _row("120", seconds(0, above=True), "Seconds of silence in mid-answer")
    total_timeout: float = _row("1800", seconds(0, above=True), "Seconds that one answer may take")
    shutdown_timeout: float = _row("20", seconds(0), "Seconds that running answers get to end on a stop")
    keep_alive_seconds: float = _row(
        "10", seconds(0, above=True), "Seconds of silence after which a stream gets a comment"
    )
    models_ttl: float = _row("600", seconds(0), "Seconds after which the model list is fetched again")
    delete_retry_seconds: float = _row(
        "1", seconds(0, above=True), "Seconds to the first try and retry of a deletion, doubling up to 30"
    )
    retention_days: int = _row("0", whole(0, 36500), "Days without use after which our chats are deleted; 0: never")
    max_input_tokens: int = _row("96000", whole(1), "Tokens that one message may hold, by our estimate")
    body_budget: int = _row("92160", whole(0), "Bytes of one message upstream; 0: no limit but the tokens")
    result_budget: int = _row(
        "49152", whole(0), "Bytes of one tool result; longer ones are cut in the middle; 0: no limit"
    )
    tool_retries: int = _row(
        "1", whole(0, 5), "How often the model is asked again for a tool call or JSON that cannot be used"
    )
    citations: str = _row(
        "annotations",
        one_of("annotations", "links"),
        "Marks of a web search such as `[[3]]`: left as they are, with `annotations`, or also made Markdown `links`",
    )
    images_as: str = _row(
        "data",
        one_of("data", "url"),
        "What `images` of an answer holds: the picture itself as `data`, or its `url` on the site, which expires",
    )
    max_body_bytes: int = _row("33554432", whole(1024), "Bytes of one request to this server")
    fetch_urls: bool = _row("1", parse_flag, "0: never fetch the addresses that messages name for files")
    fetch_private: bool = _row("0", parse_flag, "1: fetch also from this machine and its network")
    file_bytes: int = _row("104857600", whole(1), "Bytes of one file that is stored here or fetched from an address")
    files_budget: int = _row("1073741824", whole(0), "Bytes of all stored files together")
    default_model: str = _row(
        "", parse_text, "Model for aliases whose target is gone; empty: the first general one of the list"
    )
    is_delete: bool = _row("0", parse_flag, "1: delete each chat after its answer; conversations are then replayed")
    window_match: bool = _row(
        "1",
        parse_flag,
        "1: know a trimmed conversation by its last turns; 0: replay it, the model then sees no more",
    )
    store_text: bool = _row("1", parse_flag, "0: keep hashes and lengths, no texts")
    access_log: str = _row(
        "off", one_of("off", "json"), "`json`: a line of JSON for each request on standard output, without texts"
    )
    log_level: str = _row(
        "info",
        one_of("debug", "info", "warning", "error"),
        "How much is logged: `debug`, `info`, `warning` or `error`",
    )

    def path(self, text: str) -> Path:
        """Return a path of the configuration, relative ones taken from the project folder."""
        return self.root / Path(text).expanduser()

    @property
    def database_path(self) -> Path:
        """The file of the SQLite store."""
        return self.path(self.database_url.removeprefix("sqlite:///"))

    def files_folder(self) -> Path:
        """Return the folder of stored files, beside the database and named after it, by whichever name it is called."""
        database = self.database_path.resolve()
        return database.with_name(f"{database.name}-files")

    @property
    def uses_emulator(self) -> bool:
        """Whether the embedded emulator answers."""
        return self.upstream == "emulator" or (self.upstream == "auto" and not self.has_login)

    @property
    def has_login(self) -> bool:
        """Whether there is a token, or a cookie that brings one."""
        return bool(self.qwen_auth_token) or holds_login(self.qwen_cookie.reveal())


def rows() -> list[Field[Any]]:
    """Return the table of settings, in the order of the documentation."""
    return [row for row in fields(Settings) if "default" in row.metadata]


def secrets(settings: Settings) -> list[Secret]:
    """Return every secret of the settings, for the log to leave out."""
    return [settings.qwen_auth_token, settings.qwen_cookie, *(entry.key for entry in settings.api_keys)]


def load(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read all settings. Raises ConfigError with every problem at once."""
    problems: list[str] = []
    named = {row.name: row for row in rows()}
    toml_path = root / Path(environ.get("CONFIG_FILE") or named["config_file"].metadata["default"]).expanduser()
    from_toml, aliases = read_toml(toml_path, named, problems, must_exist=bool(environ.get("CONFIG_FILE")))
    env_file = environ.get("ENV_FILE") or from_toml.get("env_file") or named["env_file"].metadata["default"]
    from_env_file = read_env_file(root / Path(env_file).expanduser(), named, problems)
    from_environ = {key: environ[key.upper()].strip() for key in named if key.upper() in environ}

    values: dict[str, Any] = {}
    for key, row in named.items():
        # an empty variable counts as not set; an empty list of config.toml is one
        text = from_environ.get(key) or from_env_file.get(key) or from_toml.get(key, row.metadata["default"])
        read = row.metadata["parse"]
        try:
            values[key] = read(text.strip())
        except ValueError as problem:
            shown = "" if row.metadata["secret"] else f" (it is {text!r})"
            problems.append(f"{key.upper()}: {problem}{shown}")
            values[key] = read(row.metadata["default"])
    token = Secret(from_environ.get("qwen_auth_token", ""))
    settings = Settings(root=root, model_aliases=aliases, token_in_environment=token, **values)
    problems += _contradictions(settings, told={problem.partition(":")[0] for problem in problems})
    if problems:
        raise ConfigError(problems)
    return settings


def _contradictions(settings: Settings, *, told: Set[str]) -> list[str]:
    """Return the problems that only several settings together have; what cannot be read may be no problem once it can.

    `told` are the settings whose own problems are told.
    """
    problems = []
    has_keys = bool(settings.api_keys) or "API_KEYS" in told
    is_login_told = any(name.startswith("QWEN_") for name in told)
    if settings.host not in LOOPBACK_HOSTS and not has_keys and not settings.allow_open:
        problems.append(
            f"HOST: {settings.host} is reachable from other machines and there are no API_KEYS that guard it; "
            "set API_KEYS, or ALLOW_OPEN=1 if everyone who can reach it may use your account"
        )
    every = next(filter(is_every_page, settings.cors_origins), None)
    if every and not has_keys:
        problems.append(
            f"CORS_ORIGINS: {every} lets every web page use your account, without API_KEYS that guard it; "
            "set API_KEYS, or list the origins"
        )
    if settings.upstream == "qwen" and not settings.has_login and not is_login_told:
        problems.append("QWEN_AUTH_TOKEN: UPSTREAM=qwen needs the account's token; put it into .env (see the README)")
    return problems
