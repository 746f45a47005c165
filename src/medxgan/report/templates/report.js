(() => {
  "use strict";
  const page = document.body;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const FRAME_MILLISECONDS = 180;
  let stopPlaying = () => {};

  const film = (section) => {
    const frames = all(".strip li", section);
    const dots = all(".dot", section);
    const slider = section.querySelector("input");
    const button = section.querySelector(".play");
    const picture = section.querySelector(".viewer .shown");
    const readout = section.querySelector("output");
    const marker = section.querySelector(".marker");
    let direction = 1;

    const show = (index) => {
      const { strength, probability } = frames[index].dataset;
      slider.value = index;
      slider.setAttribute("aria-valuetext", `strength ${strength}, ${section.dataset.measure} ${probability}`);
      picture.src = frames[index].querySelector("img").src;
      picture.alt = `Frame of the film at strength ${strength}`;
      readout.textContent = `strength ${strength} · ${section.dataset.measure} ${probability}`;
      marker.setAttribute("transform", `translate(${dots[index].cx.baseVal.value - start} 0)`);
      frames.forEach((frame, i) => frame.classList.toggle("now", i === index));
      dots.forEach((dot, i) => dot.classList.toggle("now", i === index));
    };
    const step = () => {
      if (Number(slider.value) + direction < 0 || Number(slider.value) + direction >= frames.length) {
        direction = -direction;
      }
      show(Math.min(Math.max(Number(slider.value) + direction, 0), frames.length - 1));
    };
    const play = () => {
      stopPlaying();
      const timer = setInterval(step, FRAME_MILLISECONDS);
      button.setAttribute("aria-pressed", "true");
      button.textContent = "Pause";
      stopPlaying = () => {
        clearInterval(timer);
        button.setAttribute("aria-pressed", "false");
        button.textContent = "Play";
        stopPlaying = () => {};
      };
    };

    const start = dots[Number(slider.value)].cx.baseVal.value;
    show(Number(slider.value));
    slider.addEventListener("input", () => {
      stopPlaying();
      show(Number(slider.value));
    });
    button.addEventListener("click", () =>
      button.getAttribute("aria-pressed") === "true" ? stopPlaying() : play(),
    );
    button.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const next = Number(slider.value) + move;
      if (move && next >= 0 && next < frames.length) {
        stopPlaying();
        show(next);
        event.preventDefault();
      }
    });
    frames.forEach((frame, index) =>
      frame.addEventListener("click", () => {
        stopPlaying();
        show(index);
      }),
    );
  };

  const fillBases = () =>
    all(".explanation").forEach((article) => {
      const original = article.querySelector(".picture .shown").src;
      all(".base", article).forEach((base) => {
        base.src = original;
        base.hidden = false;
      });
    });

  const options = {
    overlay: (on) => on && fillBases(),
    more: (on) => all("details.more").forEach((details) => (details.open = on)),
  };

  all(".toolbar [data-option]").forEach((box) => {
    const apply = () => {
      page.classList.toggle(box.dataset.option, box.checked);
      options[box.dataset.option]?.(box.checked);
    };
    box.addEventListener("change", apply);
    apply();
  });

  const filter = document.querySelector(".toolbar select");
  const matches = document.querySelector(".matches");
  const kept = {
    all: () => true,
    warned: (article) => article.dataset.warned === "yes",
    unflipped: (article) => article.dataset.flipped === "no",
    kept: (article) => article.dataset.transferred === "no",
  };
  const applyFilter = () => {
    const articles = all(".explanation");
    articles.forEach((article) => (article.hidden = !kept[filter.value](article)));
    const count = articles.filter((article) => !article.hidden).length;
    matches.textContent = filter.value === "all" ? "" : `${count} of ${articles.length}`;
  };
  filter.addEventListener("change", applyFilter);
  applyFilter();

  document.querySelector(".toolbar").hidden = false;
  page.classList.add("interactive");
  all(".film").forEach(film);
  addEventListener("beforeprint", () => all("details").forEach((details) => (details.open = true)));
})();
