// Lecture mode, one claim a screen (?present#claim), and the gallery of all figures (?gallery): two looks at the same cards.
(() => {
  const form = document.querySelector(".filter");
  const buttons = form.elements;
  const body = document.body;
  const shown = () => [...document.querySelectorAll(".card:not([hidden])")];
  const named = () => document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest(".card");
  const place = document.createElement("footer");
  place.className = "place";
  body.append(place);

  // The look is in the address, beside the filters, so that it can be linked to and survives a reload.
  const remember = (look, on, hash = location.hash) => {
    const query = new URLSearchParams(location.search);
    query.delete("present");
    query.delete("gallery");
    const words = [query.toString(), on && look].filter(Boolean).join("&");
    history.replaceState(null, "", `${words ? `?${words}` : location.pathname}${hash}`);
  };

  const show = (card) => {
    document.querySelector(".current")?.classList.remove("current");
    card.classList.add("current");
    const cards = shown();
    place.textContent = `${cards.indexOf(card) + 1} of ${cards.length}  ·  ← → walk the deck, f full screen, Esc leaves`;
    remember("present", true, `#${card.id}`);
    card.scrollTop = 0;
  };

  const present = (on) => {
    const card = named() ?? shown().find((each) => each.getBoundingClientRect().bottom > 0) ?? shown()[0];
    if (!card) return;
    if (on) gallery(false);
    body.classList.toggle("presenting", on);
    if (on) return show(card);
    document.querySelector(".current")?.classList.remove("current");
    remember("present", false);
    if (document.fullscreenElement) document.exitFullscreen();
    card.scrollIntoView();
  };

  const walk = (steps) => {
    const cards = shown();
    const to = cards.indexOf(document.querySelector(".current")) + steps;
    show(cards[Math.max(0, Math.min(cards.length - 1, to))]);
  };

  const gallery = (on) => {
    body.classList.toggle("gallery", on);
    buttons.gallery.setAttribute("aria-pressed", on);
    remember("gallery", on);
  };

  const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Home: -Infinity, End: Infinity };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const presenting = body.classList.contains("presenting");
    if (presenting && event.key in STEPS) walk(STEPS[event.key]);
    else if (presenting && event.key === "Escape") present(false);
    else if (presenting && event.key === "f") document.fullscreenElement ? document.exitFullscreen() : body.requestFullscreen();
    else if (event.key === "p") present(!presenting);
    else if (event.key === "g" && !presenting) gallery(!body.classList.contains("gallery"));
    else return;
    event.preventDefault();
  });
  buttons.present.addEventListener("click", () => present(true));
  buttons.gallery.addEventListener("click", () => gallery(!body.classList.contains("gallery")));
  // In the gallery a click on a tile opens its card.
  document.querySelector("main").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card || !body.classList.contains("gallery")) return;
    event.preventDefault();
    gallery(false);
    location.hash = card.id;
    card.scrollIntoView();
  });
  addEventListener("hashchange", () => body.classList.contains("presenting") && named() && show(named()));

  const asked = new URLSearchParams(location.search);
  if (asked.has("gallery")) gallery(true);
  if (asked.has("present")) present(true);
})();
