"""Asking one server many things at once. The `openai` client sends and retries; this counts, keeps and explains."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from curation.chat.odds import read_odds
from curation.chat.pace import Pace
from curation.chat.purse import Purse, Usage
from curation.chat.request import AnswerCache, Endpoint, Reply, Request
from curation.errors import UserError
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    import openai

RETRIES = 6
"""Times that the openai client tries again after 408, 409, 429, 5xx, a timeout or a lost connection, waiting 0.5 to 8
seconds in between or as long as the server asks."""
MALFORMED_TRIES = 3
"""Times that an answer which is no chat completion is asked for."""
NOT_TAKEN = (400, 413, 422)
"""Statuses by which a server says that it does not take this one question."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Client:
    """Asks one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cache: AnswerCache | None = None,
        purse: Purse | None = None,
        usage: Usage | None = None,
        progress: Progress = SILENT,
        retries: int = RETRIES,
    ) -> None:
        self.endpoint = endpoint
        self.usage = Usage() if usage is None else usage
        self._cache, self._progress, self._retries = cache, progress, retries
        self._purse = Purse() if purse is None else purse
        self._model = endpoint.model or endpoint.name
        self._lock = threading.Lock()
        self._openai: openai.OpenAI | None = None
        self._length_key = "max_tokens"
        self._tells_odds = True
        self._pace = Pace(endpoint.requests_per_minute)
        if self._purse.usd_left is not None and endpoint.usd_per_mtok is None:
            raise UserError(
                f"the recipe has a budget in dollars, but endpoint {endpoint.name!r} has no price",
                hint=f"set endpoints.{endpoint.name}.usd_per_mtok in the profile: [PROMPT, COMPLETION], [0, 0] if free",
            )

    def ask(
        self,
        requests: Sequence[Request],
        what: str = "asking",
        *,
        may_refuse: bool = False,
        may_refuse_all: bool = False,
    ) -> list[Reply]:
        """One reply a request, in order. Equal requests are asked once; known ones not at all.

        Args:
            may_refuse: A question that the server does not take (it is too long, say) gets a reply that says so in
                `refused`, instead of ending it all. Only where others were taken: a server that takes none is wrong.
            may_refuse_all: For who knows that this server took others before.

        Raises:
            BudgetReached: the money is used up.
            UserError: the server cannot be reached, refuses, or does not answer in the format. What had been answered
                by then is in the cache.
        """
        keys = [r.key(self._model) for r in requests]
        todo = dict(zip(keys, requests, strict=True))
        replies: dict[str, Reply] = {}
        with self._progress.bar(what, len(todo), "answers") as bar:
            for key in list(todo):
                if known := self._known(key):
                    replies[key] = known
                    del todo[key]
                    bar.advance(1)
            with ThreadPoolExecutor(max(1, min(self.endpoint.concurrency, len(todo)))) as pool:
                jobs = {pool.submit(self._paid, key, request, may_refuse): key for key, request in todo.items()}
                try:
                    for job in as_completed(jobs):
                        if job.exception():
                            break
                        bar.advance(1, usd=self._purse.spent)
                finally:
                    pool.shutdown(cancel_futures=True)  # those under way end, and what they bring is kept
                    self._hang_up()
            failed = [error for job in jobs if not job.cancelled() and (error := job.exception())]
            if failed:
                raise failed[0] from None
            replies.update({jobs[job]: job.result() for job in jobs})
            if replies and not may_refuse_all and all(reply.refused for reply in replies.values()):
                some = next(iter(replies.values())).refused
                raise UserError(
                    f"{self.endpoint.host} takes none of {len(replies)} questions: {some}",
                    where=f"endpoint {self.endpoint.name!r}",
                    hint="are the settings of the step known to this model, and does each question fit its context?",
                )
        return [replies[key] for key in keys]

    def known(self, requests: Sequence[Request]) -> list[Reply | None]:
        """The replies that are there already, in order; nobody is asked and nothing counted."""
        found = [None if self._cache is None else self._cache.get(r.key(self._model)) for r in requests]
        return [None if kept is None else Reply(**kept, cached=True) for kept in found]

    def _known(self, key: str) -> Reply | None:
        found = None if self._cache is None else self._cache.get(key)
        if found is None:
            return None
        self.usage.count(answers=1, cached=1)
        odds = tuple((at, words) for at, words in found.get("odds", ()))
        return Reply(**{**found, "odds": odds}, cached=True)

    def _paid(self, key: str, request: Request, may_refuse: bool) -> Reply:
        most = request.most_tokens()
        worst = self.endpoint.usd(most, request.max_tokens)
        problem = ""
        for _ in range(MALFORMED_TRIES):
            with self._purse.paying(worst) as pay:
                try:
                    found, problem = self._sent(request)
                except _NotTaken as no:
                    if not may_refuse:
                        raise no.error from None
                    return Reply("", finished=False, refused=no.error.what)
                used = getattr(found, "usage", None)
                prompt, completion = getattr(used, "prompt_tokens", 0) or 0, getattr(used, "completion_tokens", 0) or 0
                # Kept before the money is let go of: a kill in between must not lose what was paid for.
                reply, fault = _read(found, request, prompt, completion)
                if reply is not None and used is None:  # a server that does not count is not taken for free
                    prompt, completion = most, min(request.max_tokens, len(reply.text.encode()))
                price = self.endpoint.usd(prompt, completion)
                if reply is not None and self._cache is not None:
                    self._cache.put(key, _kept(reply))
                self.usage.count(answers=reply is not None, prompt=prompt, completion=completion, usd=price)
                pay(price)
            if reply is not None:
                return reply
            problem = problem or fault
        raise UserError(
            f"{self.endpoint.host} answered with something that is no chat completion: {self._safe(problem)}",
            where=f"endpoint {self.endpoint.name!r}",
            hint="is base_url the address of an OpenAI-compatible server, up to and with /v1?",
        )

    def _sent(self, request: Request) -> tuple[Any, str]:
        """What came back, or None and why it could not be read."""
        import openai

        try:
            return self._create(request), ""
        except (openai.APIResponseValidationError, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"
        except openai.OpenAIError as error:
            explained = self._explained(error)
            if isinstance(error, openai.APIStatusError) and error.status_code in NOT_TAKEN:
                raise _NotTaken(explained) from None
            raise explained from None

    def _create(self, request: Request) -> Any:
        import openai

        body = request.body(self._model)
        if not self._tells_odds:
            body = _without_odds(body)
        if request.text is not None:
            complete: Any = self._connection().completions.create
            return complete(**body)
        length = body.pop("max_tokens")
        create: Any = self._connection().chat.completions.create
        try:
            return create(**body, **{self._length_key: length})
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            # Newer OpenAI models refuse the old name; other servers know no other.
            if self._length_key == "max_tokens" and "max_completion_tokens" in str(error.body):
                self._length_key = "max_completion_tokens"
                return create(**body, **{self._length_key: length})
            if "logprobs" in body and "logprobs" in str(error.body):
                self._tells_odds = False
                return create(**_without_odds(body), **{self._length_key: length})
            raise

    def _connection(self) -> openai.OpenAI:
        import openai

        with self._lock:
            if self._openai is None:
                key = self._key()
                if not key and self.endpoint.host not in _LOOPBACK:
                    raise UserError(
                        f"{self.endpoint.api_key_env} is not set, and {self.endpoint.host} will ask for a key",
                        where=f"endpoint {self.endpoint.name!r}",
                        hint=f"export {self.endpoint.api_key_env}=..., or name another variable by api_key_env",
                    )
                hooks: dict[str, list[Any]] = {
                    "request": [lambda _: self._pace.wait()],
                    "response": [lambda response: self._pace.heard(response.status_code, response.headers)],
                }
                self._openai = openai.OpenAI(
                    http_client=openai.DefaultHttpxClient(event_hooks=hooks),
                    api_key=key or "none",
                    base_url=self.endpoint.base_url,
                    timeout=self.endpoint.timeout_s,
                    max_retries=self._retries,
                )
            return self._openai

    def _hang_up(self) -> None:
        with self._lock:
            if self._openai is not None:
                self._openai.close()
                self._openai = None

    def _key(self) -> str:
        return os.environ.get(self.endpoint.api_key_env, "").strip()

    def _safe(self, text: str) -> str:
        """Text of a server that may be shown: no key (some servers repeat it), not too long."""
        key = self._key()
        text = text.replace(key, "***") if key else text
        text = re.sub(r"\b(sk|key|hf|gsk)[-_][\w*.-]{8,}|Bearer\s+\S+", "***", text)
        return text if len(text) <= 300 else text[:300] + " ..."

    def _explained(self, error: openai.OpenAIError) -> UserError:
        """The openai client's error as one that says what to do. Never chained: requests hold the key."""
        import openai

        name, host = self.endpoint.name, self.endpoint.host
        hint = "what was answered is kept: run again to go on"
        if isinstance(error, openai.APITimeoutError):
            what = f"{host} gave no answer within {self.endpoint.timeout_s:g} s, {self._retries + 1} times in a row"
            hint = f"raise endpoints.{name}.timeout_s in the profile, or lower its concurrency; {hint}"
        elif isinstance(error, openai.APIConnectionError):
            what = f"{host} cannot be reached"
            hint = f"is the server up, and endpoints.{name}.base_url in the profile its address?"
        elif isinstance(error, openai.APIStatusError):
            code = error.status_code
            body = error.body.get("message") if isinstance(error.body, dict) else error.body
            said = self._safe(" ".join(str(body or error.response.text or error.message).split()))
            what = f"{host} answered {code}: {said}"
            if code in (401, 403):
                hint = f"does {self.endpoint.api_key_env} hold the right key for this server?"
            elif code == 404:
                hint = f"does it know the model {self._model!r} (endpoints.{name}.model), and does base_url end on /v1?"
            elif code == 429:
                hint = f"lower endpoints.{name}.concurrency in the profile, or wait; {hint}"
            elif code < 500:
                hint = "the request does not suit this model: is it too long, or are its settings unknown there?"
        else:
            what = f"{host}: {self._safe(str(error))}"
        return UserError(what, where=f"endpoint {name!r}", hint=hint)


_KEPT = ("text", "finished", "prompt_tokens", "completion_tokens", "withheld")
"""What the cache keeps of a reply."""


def _kept(reply: Reply) -> dict[str, Any]:
    kept = {name: getattr(reply, name) for name in _KEPT}
    return {**kept, "odds": reply.odds} if reply.odds else kept


def _without_odds(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("logprobs", "top_logprobs")}


class _NotTaken(Exception):
    """The server does not take this question; `error` says why."""

    def __init__(self, error: UserError) -> None:
        self.error = error
        super().__init__(error.what)


def _read(found: Any, request: Request, prompt: int, completion: int) -> tuple[Reply | None, str]:
    """The reply in what came back; or None, and why there is none."""
    try:
        choice = found.choices[0]
        text = (choice.message.content if request.text is None else choice.text) or ""
        if not isinstance(text, str):
            raise TypeError(f"its content is {type(text).__name__}")
    except (AttributeError, IndexError, TypeError) as error:
        return None, f"{error}, in {str(found)[:100]!r}"
    ended = choice.finish_reason
    odds = read_odds(choice, text, request.words) if request.words else ()
    return Reply(text, ended == "stop", prompt, completion, withheld=ended == "content_filter", odds=odds), ""
