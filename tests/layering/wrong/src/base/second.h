// What the layering check must refuse: with first.h, a circle, which its source closes.
#pragma once
