"use strict";
// Draws every chart from the specification beside it, and keeps one chosen task for all of them where there is a choice.
(() => {
  const choice = document.getElementById("choose-task");
  const label = document.querySelector(".choice label");
  const status = document.getElementById("chosen");
  const views = [];

  const show = (view) => (choice ? view.signal("task", choice.value) : view).runAsync();

  const tell = () => {
    const name = choice.selectedOptions[0].textContent;
    label.dataset.chosen = name;
    status.textContent = `Charts of one task show ${name}`;
  };

  const choose = (task) => {
    if (!choice || ![...choice.options].some((option) => option.value === task)) return;
    choice.value = task;
    tell();
    views.forEach(show);
  };

  // The interpreter evaluates expressions without making code of text, as the page's policy demands.
  const options = { renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };

  const draw = async (script) => {
    const target = document.getElementById(script.dataset.chart);
    const { view } = await vegaEmbed(target, JSON.parse(script.textContent), options);
    view.addEventListener("click", (event, item) => item && item.datum && choose(item.datum.task));
    views.push(view);
    await show(view);
    target.dataset.drawn = "true";
  };

  if (choice) {
    choice.addEventListener("change", () => choose(choice.value));
    tell();
  }
  document.querySelectorAll("script.spec").forEach((script) => {
    draw(script).catch((error) => { console.error(script.dataset.chart, error); });
  });
})();
