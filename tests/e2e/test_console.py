"""What people do at the console, in a real browser, against the running local environment."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from local_cloud import totp
from tests.e2e.browser import PHONE, Console, console, launched, measured, picture, routed, violations, visiting
from tests.e2e.conftest import Local

pytestmark = pytest.mark.e2e

expect.set_options(timeout=30_000)

MINUTES = 60_000
NEW_PASSWORD = "Correct-horse-7-battery"
PAGES = {
    "analyses": "/analyses",
    "new": "/new",
    "uploads": "/uploads",
    "config": "/config",
    "users": "/users",
    "keys": "/keys",
    "activity": "/activity",
    "status": "/status",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launched(playwright)
        yield running
        running.close()


def sign_in_as(local: Local, role: str) -> None:
    done = local.ctl("login", "--as", role)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def analyses(local: Local) -> list[str]:
    """Two finished analyses of one data set, of which one differs by an option, seen by everyone."""
    sign_in_as(local, "analyst")
    uploaded = local.ctl("upload", str(local.state / "pbmc68k.h5ad"), "--wait", "--json")
    assert uploaded.returncode == 0, uploaded.stderr
    upload_id = json.loads(uploaded.stdout)["upload_id"]
    made = []
    for more in ([], ["--option", "resolution=1.5"]):
        done = local.ctl("analyze", upload_id, "--type", "comprehensive", "--visibility", "shared", "--json", *more)
        assert done.returncode == 0, done.stderr
        made.append(json.loads(done.stdout)["analysis_id"])
    # Both are worked on at once, where there are workers for both.
    for analysis_id in made:
        done = local.ctl("jobs", "watch", analysis_id, "--json")
        assert done.returncode == 0, done.stderr
    return made


def opened(page: Page, started: Console, path: str = "/analyses") -> Page:
    page.goto(started.url)
    page.wait_for_url(f"{started.origin}/analyses")
    if path != "/analyses":
        page.goto(f"{started.origin}{path}")
    return page


def cognito(local: Local) -> Any:
    environment = local.environment
    return boto3.client("cognito-idp", endpoint_url=environment["aws_endpoint"], region_name=environment["region"])


def signed_in_at_the_page(page: Page, username: str, password: str) -> None:
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_is_invited_signs_in_with_a_second_factor_and_out_again(local: Local, browser: Browser) -> None:
    address = "jane@example.org"
    pool, client = local.environment["resources"]["user_pool_id"], cognito(local)
    sign_in_as(local, "admin")
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started, "/users")
        page.get_by_role("button", name="Invite somebody").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label(re.compile("mail", re.IGNORECASE)).fill(address)
        dialog.get_by_label("Role").select_option("analyst")
        dialog.get_by_role("button", name="Invite").click()
        expect(page.get_by_role("cell", name=address, exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert local.ctl("whoami").returncode == 3
        client.set_user_pool_mfa_config(
            UserPoolId=pool, MfaConfiguration="ON", SoftwareTokenMfaConfiguration={"Enabled": True}
        )  # fmt: skip
        try:
            _first_sign_in(local, page, address)
            expect(page.get_by_role("heading", name="Analyses")).to_be_visible(timeout=30_000)
            expect(page.get_by_text(address)).to_be_visible()
            who = json.loads(local.ctl("whoami", "--json").stdout)
            assert (who["username"], who["groups"]) == (address, ["analyst"])
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            _second_sign_in_with_a_wrong_code(page, address)
        finally:
            client.set_user_pool_mfa_config(UserPoolId=pool, MfaConfiguration="OFF")
    assert local.ctl("whoami").returncode == 3


def _sign_in_page(page: Page) -> Page:
    page.get_by_role("button", name="Sign in").click()
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open the sign-in page").click()
    return popup.value


def invited(local: Local, address: str) -> str:
    """The temporary password in the e-mail to somebody, which the emulated AWS writes into its log instead."""
    letters = re.findall(
        rf"username is {re.escape(address)} and your temporary password is (\S+)", (local.state / "log" / "moto.log").read_text()
    )
    return letters[-1]


def _first_sign_in(local: Local, page: Page, address: str) -> None:
    login = _sign_in_page(page)
    picture(local, login, "login-light")
    assert violations(login) == []
    signed_in_at_the_page(login, address, invited(local, address))
    for field in login.locator("input[type=password]").all():
        field.fill(NEW_PASSWORD)
    assert violations(login) == []
    login.get_by_role("button", name="Save and go on").click()
    secret = login.locator(".secret").inner_text().replace(" ", "")
    picture(local, login, "login-enrol-light")
    assert violations(login) == []
    valid = totp.code_of(secret, int(time.time() // 30))
    login.get_by_role("textbox", name="Code").fill("000000" if valid != "000000" else "000001")
    login.get_by_role("button", name="Confirm and sign in").click()
    # The same key again: a mistyped code does not begin the enrolment anew.
    assert login.locator(".secret").inner_text().replace(" ", "") == secret
    login.get_by_role("textbox", name="Code").fill(totp.code_of(secret, int(time.time() // 30)))
    login.get_by_role("button", name="Confirm and sign in").click()
    login.wait_for_url(re.compile(r"^http://localhost:84\d\d/callback"))


def _second_sign_in_with_a_wrong_code(page: Page, address: str) -> None:
    login = _sign_in_page(page)
    signed_in_at_the_page(login, address, NEW_PASSWORD)
    expect(login.get_by_role("textbox", name="Code")).to_be_visible()
    assert violations(login) == []
    login.get_by_role("textbox", name="Code").fill("123456")
    login.get_by_role("button", name="Sign in").click()
    expect(login.get_by_role("textbox", name="Code")).to_be_visible()
    assert "/callback" not in login.url


def test_a_file_becomes_an_analysis_and_its_results_are_looked_at(local: Local, browser: Browser, tmp_path: Path) -> None:
    sign_in_as(local, "analyst")
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes((local.state / "pbmc68k.h5ad").read_bytes()[:50_000])
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started, "/new")
        page.locator("input[type=file]").set_input_files(broken)
        expect(page.get_by_text("The file cannot be analysed: choose another.")).to_be_visible()
        expect(page.get_by_role("button", name="Run the analysis")).to_be_disabled()
        page.get_by_role("button", name="Choose another file").click()
        page.locator("input[type=file]").set_input_files(local.state / "pbmc68k.h5ad")
        # By the keyboard: while the file is sent, what stands above moves, and a click may miss.
        page.get_by_role("radio", name="Basic").press("Space")
        expect(page.get_by_role("radio", name="Basic")).to_be_checked()
        page.get_by_label("resolution").fill("0.8")
        # Known once the service has accepted the data set.
        expect(page.get_by_text(re.compile("^about .* of memory"))).to_be_visible(timeout=2 * MINUTES)
        page.get_by_role("button", name="Run the analysis").click()
        page.wait_for_url(re.compile(r"/analyses/[0-9A-Z]{26}$"))
        expect(page.get_by_text("succeeded").first).to_be_visible(timeout=3 * MINUTES)
        for heading in ("Embedding", "HeartMAP's figures", "Provenance"):
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download cells.csv").click()
        table = Path(download.value.path()).read_text().splitlines()
        assert table[0] == "cell,cluster,umap_1,umap_2"
        analysis_id = page.url.rpartition("/")[2]
        shown = json.loads(local.ctl("jobs", "show", analysis_id, "--json").stdout)
        assert (shown["analysis_type"], shown["options"]) == ("basic", {"resolution": 0.8})


def test_a_viewer_is_offered_and_given_only_what_a_viewer_may(local: Local, browser: Browser, analyses: list[str]) -> None:
    sign_in_as(local, "viewer")
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started)
        navigation = page.get_by_role("navigation", name="Pages")
        expect(navigation.get_by_role("link", name="Analyses")).to_be_visible()
        for hidden in ("New analysis", "Data sets", "Users", "API keys", "Activity"):
            expect(navigation.get_by_role("link", name=hidden)).to_have_count(0)
        # What is shared opens, and offers nothing that only its owner may do.
        page.goto(f"{started.origin}/analyses/{analyses[0]}")
        expect(page.get_by_role("heading", name="Embedding")).to_be_visible()
        for forbidden in ("Share", "Cancel"):
            expect(page.locator(".page-head").get_by_role("button", name=forbidden, exact=True)).to_have_count(0)
        for path in ("/users", "/keys", "/activity", "/new"):
            page.goto(f"{started.origin}{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.get_by_role("button", name=re.compile("^(Invite|New key|Run)"))).to_have_count(0)
        # And the API refuses what the page does not offer.
        answer = page.evaluate(
            """async () => {
                const headers = {"X-HeartMAP-Console": localStorage["heartmap-console-key"]};
                return (await fetch("/api/users", {headers})).status;
            }"""
        )
        assert answer == 403


def test_a_session_that_ends_in_the_middle_of_work_loses_nothing(local: Local, browser: Browser) -> None:
    sign_in_as(local, "admin")
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started, "/users")
        page.get_by_role("button", name="Invite somebody").click()
        dialog = page.get_by_role("dialog")
        address = "john@example.org"
        dialog.get_by_label(re.compile("mail", re.IGNORECASE)).fill(address)
        # Elsewhere: the same person signs out.
        assert local.ctl("logout").returncode == 0
        dialog.get_by_role("button", name="Invite").click()
        overlay = page.get_by_role("dialog", name="Your sign-in has ended")
        expect(overlay).to_be_visible()
        assert violations(page) == []
        overlay.get_by_role("button", name="Sign in").click()
        with page.expect_popup() as popup:
            overlay.get_by_role("link", name="Open the sign-in page").click()
        admin = local.environment["users"]["admin"]
        signed_in_at_the_page(popup.value, admin["username"], admin["password"])
        popup.value.wait_for_url(re.compile("/callback"))
        # What was asked for is done, without being typed again.
        expect(page.get_by_role("cell", name=address, exact=True)).to_be_visible(timeout=30_000)


def test_the_configuration_is_changed_after_a_fresh_sign_in_and_rolled_back(local: Local, browser: Browser) -> None:
    sign_in_as(local, "admin")
    before = json.loads(local.ctl("config", "show", "--json").stdout)
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started, "/config")
        # As 15 minutes later: the first answer is the authorizer's refusal.
        refusals = iter([{"status": 403, "code": "forbidden", "reason": "sign_in_too_old", "detail": "Sign in again."}])

        def late(route: Route) -> None:
            refusal = next(refusals, None) if route.request.method == "POST" else None
            route.fulfill(status=403, json=refusal) if refusal else route.continue_()

        page.route("**/api/config", late)
        page.get_by_label("min_genes", exact=True).fill("250")
        page.get_by_role("button", name=re.compile("^Review the change")).click()
        page.get_by_role("button", name="Save", exact=True).click()
        overlay = page.get_by_role("dialog", name="Sign in again for this")
        overlay.get_by_role("button", name="Sign in").click()
        with page.expect_popup() as popup:
            overlay.get_by_role("link", name="Open the sign-in page").click()
        admin = local.environment["users"]["admin"]
        signed_in_at_the_page(popup.value, admin["username"], admin["password"])
        expect(page.get_by_text(f"Saved as version {before['version'] + 1}.")).to_be_visible()
        assert json.loads(local.ctl("config", "show", "--json").stdout)["config"]["min_genes"] == 250
        page.get_by_role("button", name=f"Roll back to version {before['version']}", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
        expect(
            page.get_by_text(f"Version {before['version'] + 2} has the values of version {before['version']}.")
        ).to_be_visible()
    assert json.loads(local.ctl("config", "show", "--json").stdout)["config"] == before["config"]


def test_every_page_meets_wcag_and_fits_a_phone(local: Local, browser: Browser, analyses: list[str]) -> None:
    sign_in_as(local, "admin")
    # So that its table has something in it, too.
    assert local.ctl("keys", "create", "nightly", "--scope", "analyses:read", "--json").returncode == 0
    found: dict[str, list[str]] = {}
    pages = PAGES | {
        "result": f"/analyses/{analyses[0]}",
        "compare": f"/compare?a={analyses[0]}&b={analyses[1]}",
        "missing": "/no-such-page",
    }
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started)
        for name, path in pages.items():
            page.goto(f"{started.origin}{path}")
            settled(page)
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(100)
                if problems := _problems(local, page, name, theme):
                    found[f"{name}, {theme}"] = problems
            page.emulate_media(color_scheme="light")
    assert found == {}


def _problems(local: Local, page: Page, name: str, theme: str) -> list[str]:
    """What is wrong with the page in this theme, at a desk and on a phone."""
    picture(local, page, f"console-{name}-{theme}")
    # Another theme is other colours of the same page.
    colours_alone = theme != "light"
    problems = violations(page, colours_alone=colours_alone)
    page.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
    page.wait_for_timeout(100)
    if name in ("analyses", "result"):
        picture(local, page, f"phone-{name}-{theme}")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        problems.append("scrolls sideways on a phone")
    problems += [f"phone: {one}" for one in violations(page, colours_alone=colours_alone)]
    page.set_viewport_size({"width": 1280, "height": 900})
    return problems


def settled(page: Page) -> None:
    """The page has its heading, and waits for nothing more."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Loading .* …$"))).to_have_count(0)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)


CELLS = 50_000


def test_fifty_thousand_cells_are_drawn_and_coloured(local: Local, browser: Browser, analyses: list[str]) -> None:
    """How fast, `make bench` tells."""
    sign_in_as(local, "analyst")
    with console(local) as started, visiting(browser, local) as page:
        opened(page, started)
        routed(page, CELLS)
        page.goto(f"{started.origin}/analyses/{analyses[0]}")
        assert measured(page, "embedding:draw") > 0
        page.get_by_role("combobox", name="Colour by gene").fill("GENE77")
        page.get_by_role("option", name="GENE77", exact=True).click()
        assert measured(page, "embedding:colour") > 0


def test_the_start_token_opens_one_browser_once(local: Local, browser: Browser) -> None:
    sign_in_as(local, "viewer")
    with console(local) as started:
        with visiting(browser, local) as page:
            opened(page, started)
        with httpx.Client() as thief:
            again = thief.get(started.url)
            assert again.status_code == 403
            assert not thief.cookies
            for path in ("/", "/analyses", "/api/models", "/console/session"):
                assert thief.get(f"{started.origin}{path}").status_code in (401, 403)
