// Filters and search. Without this script the page shows every claim; with it, the view is in the address.
(() => {
  const form = document.querySelector(".filter");
  const cards = [...document.querySelectorAll(".card")];
  const words = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
  const fields = ["q", "section", "finding", "evidence", "verdict"];

  const matches = (card) =>
    fields.every((name) => {
      const wanted = form.elements[name].value.trim().toLowerCase();
      if (!wanted) return true;
      if (name === "q") return wanted.split(/\s+/).every((word) => words.get(card).includes(word));
      return card.dataset[name].split(" ").includes(wanted);
    });

  const apply = () => {
    let shown = 0;
    for (const card of cards) {
      card.hidden = !matches(card);
      shown += !card.hidden;
      document.querySelector(`.pill[href="#${CSS.escape(card.id)}"]`)?.classList.toggle("out", card.hidden);
    }
    for (const slide of document.querySelectorAll(".slide")) slide.hidden = !slide.querySelector(".card:not([hidden])");
    const filtered = fields.some((name) => form.elements[name].value.trim());
    const all = `${cards.length} ${cards.length === 1 ? "claim" : "claims"}`;
    const none = "; no claim has all of this: try fewer words, or show all";
    form.querySelector("output").value = filtered ? `${shown} of ${all}${shown ? "" : none}` : all;
  };

  const toAddress = () => {
    const query = new URLSearchParams();
    for (const name of fields) if (form.elements[name].value.trim()) query.set(name, form.elements[name].value.trim());
    if (document.body.classList.contains("gallery")) query.set("gallery", "");
    history.replaceState(null, "", `${query.size ? `?${query}` : location.pathname}${location.hash}`);
  };

  const fromAddress = () => {
    const query = new URLSearchParams(location.search);
    for (const name of fields) {
      const field = form.elements[name];
      field.value = query.get(name) ?? "";
      if (field.selectedIndex === -1) field.value = ""; // a value this report does not have
    }
    apply();
  };

  const change = () => {
    apply();
    toAddress();
  };

  // At once, where the form's own reset would leave a moment in which the fields are empty and the cards still hidden.
  const clear = () => {
    for (const name of fields) form.elements[name].value = "";
    change();
  };

  // Cards take their true height when they come near, which moves what lies below them: look again until it stays.
  const reach = (card, tries = 10) => {
    card.scrollIntoView();
    const there = card.getBoundingClientRect().top;
    const again = () => tries && card.getBoundingClientRect().top !== there && reach(card, tries - 1);
    requestAnimationFrame(() => requestAnimationFrame(again));
  };

  // A link to a claim that the filters hide shows it all the same.
  const toTarget = () => {
    const card = cards.find((each) => `#${each.id}` === decodeURIComponent(location.hash));
    if (!card) return;
    if (card.hidden) clear();
    reach(card);
  };

  form.addEventListener("input", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clear();
  });
  addEventListener("popstate", fromAddress);
  addEventListener("hashchange", toTarget);
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    form.elements.q.focus();
  });
  form.hidden = false;
  fromAddress();
  toTarget();
})();
