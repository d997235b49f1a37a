"use strict";
(() => {
  const controls = document.querySelector("[data-controls]");
  const list = document.querySelector("[data-cards]");
  const text = document.getElementById("scene-data");
  if (!controls || !list || !text) return;
  controls.hidden = false;

  const data = JSON.parse(text.textContent);
  const cards = [...list.children];
  const parts = cards.map((card) => [card.querySelector("[data-name]"), card.querySelector("[data-score]")]);
  const state = { order: "data", objects: "" };
  const select = controls.querySelector("#metric");
  const metric = () => data.metrics[select.value] || { title: "", means: [], scores: [], texts: [] };

  const press = (buttons, pressed) =>
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));

  // Scenes without a score are last in either order; scenes with equal scores keep the order of the data set.
  const sort = () => {
    const { scores } = metric();
    const sign = state.order === "lowest" ? 1 : -1;
    const places = cards.map((_, place) => place);
    if (state.order !== "data") {
      places.sort((a, b) => {
        const [x, y] = [scores[a] ?? null, scores[b] ?? null];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * (x - y) || a - b;
      });
    }
    list.append(...places.map((place) => cards[place]));
  };

  const label = () => {
    const { title, texts } = metric();
    if (!title) return;
    parts.forEach(([name, score], place) => {
      name.textContent = title;
      score.textContent = texts[place];
    });
  };

  const shown = controls.querySelector("[data-shown]");
  const filter = () => {
    let count = 0;
    cards.forEach((card) => {
      card.hidden = state.objects !== "" && card.dataset.objects !== state.objects;
      count += !card.hidden;
    });
    const all = cards.length.toLocaleString("en");
    shown.textContent = count === cards.length ? `${all} scenes` : `${count.toLocaleString("en")} of ${all} scenes`;
  };

  const orders = [...controls.querySelectorAll("[data-order]")];
  orders.forEach((button) =>
    button.addEventListener("click", () => {
      state.order = button.dataset.order;
      press(orders, button);
      sort();
    }),
  );
  select.addEventListener("change", () => {
    label();
    if (state.order !== "data") sort();
    showStep();
  });

  const objects = controls.querySelector("#objects");
  if (objects) {
    objects.addEventListener("change", () => {
      state.objects = objects.value;
      filter();
    });
  }

  const looks = [...controls.querySelectorAll("[data-look]")];
  looks.forEach((button) =>
    button.addEventListener("click", () => {
      list.dataset.look = button.dataset.look;
      press(looks, button);
    }),
  );

  // A link to a scene that the filter hides shows it anyway.
  const reveal = () => {
    const card = /^#scene-\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (!card || !card.hidden) return;
    state.objects = objects.value = "";
    filter();
    card.scrollIntoView();
  };
  addEventListener("hashchange", reveal);

  const slider = controls.querySelector("#step");
  const status = controls.querySelector("[data-status]");
  const showStep = () => {
    if (!slider) return;
    const [step, { title, means }] = [Number(slider.value), metric()];
    const mean = means[step] ? `, mean ${title} ${means[step]}` : "";
    status.textContent = `${step} of ${slider.max}${mean}`;
  };
  if (!slider) return;
  const show = () => {
    list.style.setProperty("--step", slider.value);
    showStep();
  };
  slider.addEventListener("input", show);
  show();

  const play = controls.querySelector("[data-play]");
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    slider.value = 0;
    show();
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, 700);
  });
})();
