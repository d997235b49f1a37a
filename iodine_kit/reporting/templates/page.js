"use strict";
(() => {
  const controls = document.querySelector("[data-controls]");
  const cards = document.querySelector("[data-cards]");
  if (!controls || !cards) return;
  controls.hidden = false;

  const inDataOrder = [...cards.children];
  const score = (card) => (card.dataset.score === "" ? NaN : Number(card.dataset.score));
  // Scenes without a score come last whichever way the others are sorted.
  const byScore = (sign) => (a, b) => {
    const [x, y] = [score(a), score(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
  const orders = {
    data: () => inDataOrder,
    highest: () => [...inDataOrder].sort(byScore(-1)),
    lowest: () => [...inDataOrder].sort(byScore(1)),
  };
  const buttons = controls.querySelectorAll("[data-order]");
  buttons.forEach((button) => {
    button.addEventListener("click", () => {
      cards.append(...orders[button.dataset.order]());
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    });
  });

  const slider = controls.querySelector("input[type=range]");
  if (!slider) return;
  const output = controls.querySelector("output");
  const means = JSON.parse(output.dataset.means);
  const masks = [...cards.querySelectorAll("[data-step]")];
  const show = () => {
    const step = Number(slider.value);
    masks.forEach((mask) => {
      mask.hidden = Number(mask.dataset.step) !== Math.min(step, Number(mask.dataset.last));
    });
    const mean = means[step] ? `, mean ${output.dataset.metric} ${means[step]}` : "";
    output.textContent = `${step} of ${slider.max}${mean}`;
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
