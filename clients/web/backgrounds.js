// Choice of the background: the photo's own, blurred, or a colour.

const COLOURS = { "00b140": "Green screen", "20252c": "Dark grey", "dfe3e8": "Light grey" };
const COLOUR = /^[0-9a-f]{6}$/;

/** Fill #swatches; `chosen(value)` is called with none, blur or rrggbb. Returns a function that returns the choice. */
export function backgrounds(first, chosen) {
  const box = document.getElementById("swatches");
  let current = "none";

  function mark(label, value) {
    current = value;
    for (const each of box.children) each.classList.toggle("on", each === label);
  }

  function choice(value, title, named) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "background", value });
    input.setAttribute("aria-label", title);
    input.addEventListener("change", () => {
      mark(label, value);
      chosen(value);
    });
    label.title = title;
    label.append(input);
    if (named) {
      label.className = "named";
      label.append(title);
    } else {
      label.style.background = `#${value}`;
    }
    if (value === first) input.checked = true;
    box.append(label);
    return label;
  }

  function own(value) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "color", value: `#${value}` });
    input.setAttribute("aria-label", "A colour of your own");
    input.addEventListener("change", () => {
      mark(label, input.value.slice(1));
      for (const other of box.querySelectorAll("[type=radio]")) other.checked = false;
      chosen(current);
    });
    label.title = "A colour of your own";
    label.className = "named";
    label.append("Other …", input);
    box.append(label);
    return label;
  }

  const labels = new Map([["none", choice("none", "As it is", true)], ["blur", choice("blur", "Blurred", true)]]);
  for (const [value, title] of Object.entries(COLOURS)) labels.set(value, choice(value, title, false));
  const free = own(COLOUR.test(first) ? first : "3a5f8a");
  const known = labels.has(first) ? first : COLOUR.test(first) ? first : "none";
  mark(labels.get(known) ?? free, known);
  return () => current;
}
