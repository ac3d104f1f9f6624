// Knows nobody; wall.h beside it knows the folder below.
#pragma once
