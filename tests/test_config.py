"""Settings come from three places in a fixed order, and every problem is told at once with its key."""

from pathlib import Path

import pytest

from app.config import ConfigError, Settings, load, rows, secrets
from app.config_values import Secret


def problems_of(root: Path, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(root, environ)
    return refused.value.problems


def test_an_empty_folder_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    assert (settings.host, settings.port, settings.is_delete) == ("127.0.0.1", 5000, False)
    assert settings.database_path == tmp_path / "data/qwen-thread.db"
    assert settings.uses_emulator


def test_the_environment_beats_the_env_file_which_beats_the_toml_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('port = 1\nhost = "localhost"\nlog_level = "debug"\n')
    (tmp_path / ".env").write_text("PORT=2\nHOST=127.0.0.1\n")
    settings = load(tmp_path, {"PORT": "3"})
    assert (settings.port, settings.host, settings.log_level) == (3, "127.0.0.1", "debug")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, {"PORT": "", "LOG_LEVEL": ""}).port == 5000


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_text_in_toml_counts_as_not_set_too(tmp_path: Path, empty: str) -> None:
    (tmp_path / "config.toml").write_text(f'host = "{empty}"\napi_keys = "12345678"\ncors_origins = []\n')
    settings = load(tmp_path, {"PORT": empty})
    assert (settings.host, settings.port) == ("127.0.0.1", 5000), "an empty host is every address"
    assert settings.cors_origins == ()
    assert load(tmp_path, {"HOST": empty}).host == "127.0.0.1"


def test_toml_may_use_its_own_types_and_either_case(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'PORT = 8080\nis_delete = true\npace_seconds = 0.5\ncors_origins = ["https://a.example", "app://*"]\n'
    )
    settings = load(tmp_path, {})
    assert (settings.port, settings.is_delete, settings.pace_seconds) == (8080, True, 0.5)
    assert settings.cors_origins == ("https://a.example", "app://*")


def test_all_problems_are_told_at_once_each_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'prot = 1\nconnect_timeout = "soon"\nqwen_auth_token = "x"\nmodel_aliases = 3\n'
    )
    (tmp_path / ".env").write_text("IS_DELET=1\n")
    problems = problems_of(tmp_path, PORT="eighty", LOG_LEVEL="loud", DATABASE_URL="mysql://x", API_KEYS="short")
    told = "\n".join(problems)
    for expected in (
        "prot: config.toml has no such setting; did you mean port?",
        "CONNECT_TIMEOUT: must be a number of seconds above 0 (it is 'soon')",
        "QWEN_AUTH_TOKEN: belongs into .env",
        "model_aliases: must be a table",
        "IS_DELET: .env has no such setting; did you mean IS_DELETE?",
        "PORT: must be a whole number from 0 to 65535 (it is 'eighty')",
        "LOG_LEVEL: must be one of debug, info, warning, error",
        "DATABASE_URL: must be sqlite:///",
        "API_KEYS: must hold keys of 8 or more",
    ):
        assert expected in told
    assert len(problems) == 9


def test_a_bad_secret_is_not_repeated(tmp_path: Path) -> None:
    assert "hidden" not in str(problems_of(tmp_path, QWEN_AUTH_TOKEN="hidden\x07token"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{token}", 1),
        ("QWEN_AUTH_TOKEN=\n\n  {token}", 3),
        ("PORT=1\n{token}=", 2),
        ("QWEN_AUTH_TOKEN: {token}", 1),
        ("# mine\nQWEN_AUTH_TOKEN {token}", 2),
        ("QWEN_AUTH_TOKEN='{token}", 1),
        ("export {token}", 1),
    ],
)
def test_a_line_of_the_env_file_that_is_no_setting_is_told_by_its_number_and_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, line: int
) -> None:
    token = "eyJhbGciOi.eyJpZCI6.c2lnbmF0"
    (tmp_path / ".env").write_text(text.format(token=token))
    problems = problems_of(tmp_path, PORT="eighty")
    assert problems[0].startswith(f"ENV_FILE: line {line} of .env ")
    assert problems[1].startswith("PORT: ")
    assert not [part for part in token.split(".") if part in str(problems)]
    assert not caplog.records


@pytest.mark.parametrize("name", ["DEADBEEF01", "correcthorse1", "aPassWord", "x" * 33])
def test_a_name_is_shown_only_if_it_looks_like_a_setting(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=1\n")
    (tmp_path / "config.toml").write_text(f"{name} = 1\n")
    in_toml, in_env = problems_of(tmp_path)
    assert in_toml.startswith("CONFIG_FILE: config.toml names something that is no setting")
    assert in_env.startswith("ENV_FILE: line 1 of .env names something that is no setting")
    assert name not in in_toml + in_env


def test_a_setting_of_the_env_file_without_a_value_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QWEN_AUTH_TOKEN\n")
    assert problems_of(tmp_path)[0].startswith("QWEN_AUTH_TOKEN: line 1 of .env gives it no value")


def test_names_of_the_env_file_are_in_upper_case_for_all_who_read_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=1\nqwen_auth_token=a.b.c\n")
    assert problems_of(tmp_path) == ["QWEN_AUTH_TOKEN: the name on line 2 of .env must be in upper case"]


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"HOST": "0.0.0.0"}, "HOST: 0.0.0.0 is reachable from other machines and there are no API_KEYS"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS: * lets every web page use your account"),
        ({"UPSTREAM": "qwen"}, "QWEN_AUTH_TOKEN: UPSTREAM=qwen needs the account's token"),
        ({"CONFIG_FILE": "nowhere.toml"}, "CONFIG_FILE: there is no file"),
        ({"CORS_ORIGINS": "example.org"}, "'example.org' is none"),
        ({"QWEN_BASE_URL": "chat.qwen.ai"}, "QWEN_BASE_URL: must be an address"),
        ({"API_KEYS": "an owner:12345678"}, "API_KEYS: must hold keys as KEY or OWNER:KEY"),
        ({"API_KEYS": "12345678,12345678"}, "API_KEYS: must not hold the same key twice"),
        ({"IS_DELETE": "maybe"}, "IS_DELETE: must be 0 or 1"),
        ({"CORS_ORIGINS": "app://*,http://*"}, "CORS_ORIGINS: http://* lets every web page use your account"),
        ({"CORS_ORIGINS": "https://*:*"}, "CORS_ORIGINS: https://*:* lets every web page use your account"),
        ({"CORS_ORIGINS": "https://*.*"}, "CORS_ORIGINS: https://*.* lets every web page use your account"),
        ({"QWEN_BASE_URL": "https://x:99999"}, "QWEN_BASE_URL: must be an address"),
        ({"QWEN_AUTH_URL": "https://x:port"}, "QWEN_AUTH_URL: must be an address"),
        ({"QWEN_BASE_URL": "https://[x"}, "QWEN_BASE_URL: must be an address"),
        ({"QWEN_BASE_URL": "https://chat qwen.ai"}, "QWEN_BASE_URL: must be an address"),
        (
            {"QWEN_AUTH_TOKEN": "eyJhbGciOiJIUzI1NiJ9"},
            "QWEN_AUTH_TOKEN: must be a token, a long text with two dots",
        ),
    ],
)
def test_settings_that_would_harm_are_refused(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    assert told in "\n".join(problems_of(tmp_path, **environ))


def test_what_contradicts_is_told_along_with_what_cannot_be_read(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, PORT="x", CORS_ORIGINS="*", HOST="0.0.0.0")
    assert [problem.split(":")[0] for problem in problems] == ["PORT", "HOST", "CORS_ORIGINS"]


def test_keys_that_cannot_be_read_are_not_also_told_as_missing(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, API_KEYS="short", CORS_ORIGINS="*", HOST="0.0.0.0")
    assert [problem.split(":")[0] for problem in problems] == ["API_KEYS"]


def test_a_login_that_cannot_be_read_is_not_also_told_as_missing(tmp_path: Path) -> None:
    assert len(problems_of(tmp_path, UPSTREAM="qwen", QWEN_AUTH_TOKEN="no-token")) == 1


def test_a_pattern_for_some_hosts_needs_no_keys(tmp_path: Path) -> None:
    origins = "https://*.example.org,http://localhost:*,app://*"
    assert load(tmp_path, {"CORS_ORIGINS": origins}).cors_origins == tuple(origins.split(","))


def test_a_mark_before_the_text_of_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 1\n", "utf-8-sig")
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\n", "utf-8-sig")
    settings = load(tmp_path, {})
    assert (settings.port, settings.log_level) == (1, "debug")


def test_every_alias_that_is_no_model_id_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[model_aliases]\ngood = "m"\nempty = ""\nnumber = 3\ngpt-3.5 = "m"\n')
    problems = problems_of(tmp_path)
    assert [problem.split(" must ")[0] for problem in problems] == [
        f"model_aliases: {alias}" for alias in ("empty", "number", "gpt-3")
    ]


@pytest.mark.parametrize("name", ["port", "pace_seconds", "host"])
def test_true_and_false_are_for_switches_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text(f"is_delete = true\n{name} = true\n")
    assert problems_of(tmp_path) == [f"{name.upper()}: must not be true or false"]


def test_beyond_loopback_is_allowed_with_keys_or_by_an_explicit_word(tmp_path: Path) -> None:
    assert load(tmp_path, {"HOST": "0.0.0.0", "API_KEYS": "anna:12345678,abcdefgh"}).api_keys[0].owner == "anna"
    assert load(tmp_path, {"HOST": "0.0.0.0", "ALLOW_OPEN": "1"}).allow_open
    assert load(tmp_path, {"CORS_ORIGINS": "*", "API_KEYS": "12345678"}).cors_origins == ("*",)


def test_a_token_makes_the_site_the_upstream(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QWEN_AUTH_TOKEN=abc.def.ghi\n")
    settings = load(tmp_path, {})
    assert not settings.uses_emulator
    assert settings.qwen_auth_token.reveal() == "abc.def.ghi"
    assert not settings.token_in_environment
    assert load(tmp_path, {"UPSTREAM": "emulator"}).uses_emulator


@pytest.mark.parametrize(
    ("cookie", "signs_in"),
    [("refresh_token=abc", True), ("cna=1; token=abc", True), ("cna=1", False), ("x_token=1; token=", False)],
)
def test_a_cookie_that_signs_in_makes_the_site_the_upstream(tmp_path: Path, cookie: str, signs_in: bool) -> None:
    assert load(tmp_path, {"QWEN_COOKIE": cookie}).uses_emulator is not signs_in


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = ")
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    told = "\n".join(problems_of(tmp_path))
    assert "CONFIG_FILE: config.toml cannot be read" in told
    assert "ENV_FILE: .env cannot be read" in told


def test_a_folder_in_place_of_the_file_of_settings_is_told_once(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CONFIG_FILE=str(tmp_path))
    assert problem.startswith(f"CONFIG_FILE: {tmp_path.name} cannot be read: ")
    assert "Is a directory" in problem


def test_a_value_of_no_use_in_toml_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 2026-11-23\n")
    assert problems_of(tmp_path) == ["PORT: must be a text or a number"]


def test_secrets_show_in_no_repr(tmp_path: Path) -> None:
    settings: Settings = load(tmp_path, {"QWEN_AUTH_TOKEN": "tok.en.-secret-1", "API_KEYS": "key-secret-2"})
    assert "-secret-" not in repr(settings)
    assert str(Secret("abc")) == "Secret('***')"
    assert {secret.reveal() for secret in secrets(settings)} == {"tok.en.-secret-1", "key-secret-2", ""}


def test_every_setting_has_a_help_text_and_a_readable_default() -> None:
    for row in rows():
        assert row.metadata["help"]
        row.metadata["parse"](row.metadata["default"])


def test_the_env_file_may_be_named_in_the_environment_or_in_toml(tmp_path: Path) -> None:
    (tmp_path / "other.env").write_text("PORT=7\n")
    assert load(tmp_path, {"ENV_FILE": "other.env"}).port == 7
    (tmp_path / "config.toml").write_text('env_file = "other.env"\n')
    assert load(tmp_path, {}).port == 7


def test_a_file_cannot_say_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENV_FILE=x\nCONFIG_FILE=y\n")
    (tmp_path / "config.toml").write_text('config_file = "z"\n')
    told = "\n".join(problems_of(tmp_path))
    assert "ENV_FILE: says where" in told
    assert "CONFIG_FILE: says where" in told
    assert "CONFIG_FILE: belongs into the environment, not into config.toml" in told, ".env refuses it too"
