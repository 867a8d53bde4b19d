"""256 plain English words, one for each value of a byte; no two begin with the same three letters."""

from __future__ import annotations

from typing import Final

WORDS: Final = tuple(
    """
acid acorn actor alarm album amber angle apple apron arrow atlas attic bacon badge bagel baker bamboo banana
barrel basket beach beetle belt bicycle bishop blanket bonnet border bottle boulder bracket bread bridge broom
bubble bucket butter cabin cactus camel canal carpet castle cellar chalk cherry chimney circus clover coconut
comet copper corner cotton cradle crystal curtain cushion dagger dancer desert diamond dinner doctor dolphin
donkey dragon drum duck eagle earth echo elbow elephant empire engine envelope evening extra fabric falcon
farmer feather fiddle finger flag forest fossil fountain fridge frost funnel galaxy garden ghost giant ginger
glove goat goblet grape guitar hammer harbour hedge helmet honey hotel hunter icicle igloo index island ivory
jacket jasmine jelly jewel journal juice jungle kayak kettle keyhole kitchen kiwi ladder lagoon lamp lantern
lemon leopard letter lion lizard lobster lunch magnet mango maple market meadow medal melon mirror mitten monkey
morning mountain mushroom napkin needle nephew nickel noodle nugget number nutmeg oasis ocean olive onion opera
orange orchid otter oven owl oyster paddle palace panther parrot pebble pencil pepper piano picnic pigeon pillow
pirate planet pocket potato pumpkin puzzle pyramid quarter queen quilt rabbit radio raven rhubarb ribbon river
robot rocket ruby saddle salad satin school scissors shadow shelter silver sister snow sparrow spider spoon
sugar sunset swan table tailor teapot temple thunder ticket tiger tomato tower tractor trumpet tulip tunnel
turtle twin umbrella uncle unicorn urn valley vanilla velvet vessel village violin vulture wagon walnut water
whale whistle willow window wizard wolf yacht yellow yoghurt zebra zero zigzag
""".split()  # noqa: SIM905  a text is what a person reads and edits
)
