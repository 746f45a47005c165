// Rules of accessibility that a page tries on itself; each finding is a sentence.
() => {
  const findings = [];
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && box.width > 0 && box.height > 0;
  };
  const what = (element) =>
    `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.getAttribute("class") ?? ""}`;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);

  const named = (element) => {
    const byId = (element.getAttribute("aria-labelledby") ?? "")
      .split(/\s+/)
      .map((id) => document.getElementById(id)?.textContent ?? "")
      .join(" ");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
    const own = element.matches("input, select, textarea, canvas") ? "" : element.textContent;
    const said = [element.getAttribute("aria-label"), byId, labels, own, element.title];
    return said.some((text) => (text ?? "").trim() !== "");
  };
  const controls = "a[href], button, input, select, textarea, summary, [tabindex='0'], [role=img]";
  for (const element of all(controls)) {
    if (!named(element)) findings.push(`${what(element)} has no name`);
    if (element.tabIndex > 0) findings.push(`${what(element)} has a tabindex above 0`);
  }
  const words = (text) => (text ?? "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const read = (element) =>
    element.getAttribute("aria-hidden") === "true"
      ? []
      : [...element.childNodes].flatMap((node) =>
          node instanceof Element ? read(node) : words(node.textContent),
        );
  for (const element of all("a[aria-label], button[aria-label], summary[aria-label]")) {
    const [seen, name] = [read(element), words(element.getAttribute("aria-label"))];
    if (!` ${name.join(" ")} `.includes(` ${seen.join(" ")} `) && seen.length > 0)
      findings.push(`${what(element)} is named '${name.join(" ")}' and shows '${seen.join(" ")}'`);
  }
  for (const element of all("[aria-label]")) {
    if (element.matches("p, span, div, b, abbr, figcaption, label") && !element.role)
      findings.push(`${what(element)} has a label and no role that takes one`);
  }
  for (const image of all("img")) {
    if (!image.hasAttribute("alt")) findings.push(`${what(image)} has no alt`);
  }
  for (const region of all(
    "section, form, nav, [role=region], [role=group], [role=tablist], dialog",
  )) {
    const inList = region.tagName === "SECTION" && region.closest("dialog");
    const label = region.getAttribute("aria-label") ?? region.getAttribute("aria-labelledby");
    if (!label && !inList && !region.matches(".wanted"))
      findings.push(`${what(region)} has no label`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) {
    if (ids.filter((each) => each === id).length > 1) findings.push(`the id ${id} is there twice`);
  }
  for (const attribute of ["for", "aria-controls", "aria-labelledby", "list"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      if (!document.getElementById(element.getAttribute(attribute))) {
        findings.push(`${what(element)} refers by ${attribute} to nothing`);
      }
    }
  }

  for (const [selector, count] of [
    ["h1", 1],
    ["main", 1],
    ["header", 1],
  ]) {
    const found = all(selector).length;
    if (found !== count) findings.push(`${found} visible ${selector} instead of ${count}`);
  }
  if (!document.documentElement.lang) findings.push("the page has no language");
  if (!document.title) findings.push("the page has no title");
  for (const list of all("[role=tablist]")) {
    const chosen = list.querySelectorAll("[aria-selected=true]").length;
    if (chosen !== 1) findings.push(`${chosen} tabs are selected`);
  }
  for (const target of all("button, select, input, summary")) {
    const box = target.getBoundingClientRect();
    const whole = target.closest("label")?.getBoundingClientRect() ?? box;
    if (Math.max(box.height, whole.height) < 23.5 || Math.max(box.width, whole.width) < 23.5) {
      findings.push(`${what(target)} is ${box.width} by ${box.height}, less than 24 by 24`);
    }
  }

  const colour = (text) => {
    const parts = text
      .match(/[\d.]+%?/g)
      .map((part) => parseFloat(part) / (part.endsWith("%") ? 100 : 1));
    const [red, green, blue, opacity = 1] = parts;
    const unit = text.startsWith("color(") ? 255 : 1;
    return [red * unit, green * unit, blue * unit, opacity];
  };
  const over = ([r, g, b, a], ground) =>
    [r, g, b].map((value, i) => value * a + ground[i] * (1 - a));
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement)
      layers.push(colour(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, two) => {
    const [light, dark] = [luminance(one), luminance(two)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const judge = (element, ink, text) => {
    const below = ground(element);
    const ratio = contrast(over(colour(ink), below), below);
    if (ratio < 4.5)
      findings.push(
        `'${text.trim().slice(0, 30)}' of ${what(element)} has contrast ${ratio.toFixed(2)}`,
      );
  };
  let judged = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (
      !texts.currentNode.textContent.trim() ||
      !shown(element) ||
      element.closest(":disabled, .unseen")
    )
      continue;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement ? style.fill : style.color;
    judge(element, drawn, texts.currentNode.textContent);
    judged += 1;
  }
  for (const field of all("[placeholder]"))
    judge(field, getComputedStyle(field, "::placeholder").color, field.placeholder);
  if (judged < 10) findings.push(`only ${judged} texts were found`);
  return findings;
};
